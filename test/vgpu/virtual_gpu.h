// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "test/vgpu/board.h"
#include "test/vgpu/config_space.h"
#include "test/vgpu/fault.h"
#include "test/vgpu/fsp_port.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// The behaviour of one GPU or NVSwitch, as far as software that switches its mode can see it: used
// in-process behind gpu::Registers and behind QEMU. Register facts: NVIDIA's gpu-admin-tools and
// open kernel modules. Safe to use from many threads.
class VirtualGpu {
 public:
  // Powered on long ago: its firmware has booted. After a reset it needs `boot_time` by `clock`.
  // `seed` is that of the delays of its firmware.
  VirtualGpu(const Board& board, Clock& clock, Duration boot_time, uint64_t seed = 1);

  void Set(Fault fault, bool on = true);
  // It is the first of several functions; say so before the bus is looked at.
  void SetMultifunction() { config_.SetMultifunction(); }

  uint32_t ReadConfig(uint32_t offset, uint32_t size);
  void WriteConfig(uint32_t offset, uint32_t size, uint32_t value);
  // BAR0; all ones while the device is dead, asleep or does not decode memory, and for 100 ms after
  // a reset.
  uint32_t ReadBar0(uint32_t offset);
  void WriteBar0(uint32_t offset, uint32_t value);
  // Where the bus has put BAR0; 0 before.
  uint32_t bar0() const;

  // What the kernel does for a write to `reset`, which includes that it saves and restores the
  // configuration: pending knobs become effective, the firmware boots. kDeadlineExceeded when the
  // reset is not over after `limit`, which is waited for. `others` are the methods that the kernel
  // tries when the function-level reset does not end.
  absl::Status FunctionLevelReset(Duration limit = Duration::max(), bool others = true);
  // The bus above is reset: as after a function-level reset, and the configuration is lost. Nothing
  // happens to a function that nobody has configured yet: QEMU resets the bus when it starts, and
  // this device was powered on long before.
  void BusReset();

  uint16_t knob(uint16_t id) const;
  void SetKnob(uint16_t id, uint16_t value);
  uint32_t mode_word() const;  // effective, whether booted or not
  // CC or protected PCIe is effective, and with it what these modes need: on Hopper the decoupler
  // (knob 10), which closes BAR0 to most accesses, and the features of knobs 2, 4 and 34 off.
  bool sealed() const;
  // The register at `offset` answers `value` from now on, whatever its content.
  void SetRegister(uint32_t offset, uint32_t value);

  struct Counters {
    uint64_t bar_reads = 0, bar_writes = 0, config_reads = 0, config_writes = 0, resets = 0;
    uint64_t violations = 0;  // writes to BAR0 while they were forbidden
    uint64_t too_early = 0;   // accesses to BAR0 while its firewall was closed
  };
  Counters counters() const;

  // Rules of the FSP's protocol and of the order of knobs that have been broken, in words; see the
  // ports, KnobStore, and: after knobs were written by message the decoupler is as the mode wants
  // it when they become effective. `then` is called at each instead of noting it.
  std::vector<std::string> Breaches() const;
  void OnBreach(std::function<void(const std::string&)> then);
  // Every write to BAR0 from now on is dropped and counted as a violation.
  void ForbidBarWrites(bool forbid);

  const Board& board() const { return board_; }

 private:
  bool Has(Fault fault) const { return faults_.contains(fault); }
  bool OffTheBus() const;
  bool Answers() const;
  bool Booted() const;
  bool FirewallClosed() const;
  void RefreshVendorWords();
  void Reset();
  void Latch();
  void CheckDecoupler();
  uint32_t ReadRegister(uint32_t offset);
  uint32_t ReadOther(uint32_t offset) const;
  void Breach(const std::string& rule);

  const Board& board_;
  Clock& clock_;
  const Duration boot_time_;

  mutable std::mutex mutex_;
  std::set<Fault> faults_;
  ConfigSpace config_;
  KnobStore knobs_;
  std::unique_ptr<FspPortModel> fsp_;
  TimePoint reset_at_;
  uint32_t mode_word_ = 0;
  bool decoupled_ = false;
  bool leaks_ = false;  // a feature is effective that CC must not have beside it
  bool slept_ = false;
  std::map<uint32_t, uint32_t> fixed_;  // registers that answer always the same
  std::vector<std::string> breaches_;
  std::function<void(const std::string&)> on_breach_;
  bool forbid_writes_ = false;
  Counters counters_;
};

}  // namespace gpuhost::vgpu
