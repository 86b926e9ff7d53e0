// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/fsp_transport.h"
#include "libgpuhost/gpu/power.h"
#include "libgpuhost/gpu/prc.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// One device held for a change: locked against other programs, awake, booted, with a clean channel
// to its firmware. Whoever opens one has made sure that nobody uses the device.
class Session {
 public:
  // Asked right before a reset that nobody has planned; an error forbids it.
  using MayReset = std::function<absl::Status()>;

  // kUnimplemented for a chip without layout; else the error of the step that failed: lock, wake,
  // map, boot, channel.
  //
  // A process that died over a request can leave firmware with which nobody can talk any more,
  // though the device lives. Its registers answering, and with `may_reset`, that is healed by one
  // reset, which also makes pending knobs effective. Without `may_reset` it is kDeadlineExceeded or
  // kDataLoss.
  static absl::StatusOr<std::unique_ptr<Session>> Open(const Host& host, const pci::Device& device,
                                                       const MayReset& may_reset = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The effective-mode register, valid because the firmware has booted. Errors of ReadChecked.
  absl::StatusOr<uint32_t> ReadModeWord();
  Prc& firmware() { return firmware_; }

  // Function-level reset by the kernel, then waits until the same device has booted again. The
  // error of the write, of WaitForBar0 or WaitForBoot, or kDataLoss when another device answers.
  // The channel must not be used afterwards without Reconnect. The kernel gets the time that the
  // device's reset_method may take.
  absl::Status Reset();
  // Whether the kernel has not come back from a reset: whoever touches the device now hangs too.
  bool stuck() const { return stuck_; }
  // kNotFound when the device is gone; kUnavailable and other errors of WaitForBar0 and CheckAlive
  // while it does not answer.
  absl::Status Reconnect();

  const Chip& chip() const { return chip_; }
  bool coupled() const { return view_.coupled; }

 private:
  Session(const Host& host, const pci::Device& device, const Chip& chip, FileLock lock,
          PowerGuard power, std::unique_ptr<Registers> registers);
  absl::Status Start(const MayReset& may_reset);
  absl::Status Revive(const absl::Status& dead, const MayReset& may_reset);

  Host host_;
  pci::Bdf bdf_;
  Duration reset_limit_;
  const Chip& chip_;
  FileLock lock_;
  PowerGuard power_;
  std::unique_ptr<Registers> registers_;
  BootView view_;
  std::unique_ptr<FspTransport> transport_;
  Prc firmware_;
  uint32_t identity_ = 0;  // PMC_BOOT_0 at first sight
  bool stuck_ = false;
};

}  // namespace gpuhost::gpu
