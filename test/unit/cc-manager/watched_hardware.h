// SPDX-License-Identifier: Apache-2.0
//
// A hardware side over a fake machine, as a process of its own.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>

#include "daemons/cc-manager/hardware_server.h"
#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

namespace gpuhost::cc_manager {

inline constexpr size_t kGpus = 2;

// What the hardware side leaves behind when it ends, in memory that it shares with the test.
struct Report {
  std::atomic<bool> ended{false};
  std::atomic<bool> served{false};  // Serve returned OK
  cc::State effective[kGpus], pending[kGpus];
  // For the test's own use.
  std::atomic<int> started{0};
  std::atomic<int> api{0}, hardware{0};  // process ids
  std::atomic<bool> good{false};
};

class SharedReport {
 public:
  SharedReport() {
    void* page =
        ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("mmap");
    report_ = new (page) Report;
  }
  ~SharedReport() { ::munmap(report_, sizeof(Report)); }
  Report* operator->() const { return report_; }

 private:
  Report* report_;
};

// Calls `at` before the access to registers with number `when`.
class Watched : public gpu::RegisterSource {
 public:
  Watched(fake::Machine& machine, int when, std::function<void()> at)
      : machine_(machine), left_(when), at_(std::move(at)) {}

  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override {
    GPUHOST_ASSIGN(auto registers, machine_.Open(device, access));
    return std::make_unique<Proxy>(*this, std::move(registers));
  }

 private:
  class Proxy : public gpu::Registers {
   public:
    Proxy(Watched& owner, std::unique_ptr<gpu::Registers> registers)
        : owner_(owner), registers_(std::move(registers)) {}
    absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
      owner_.Count();
      return registers_->Read32(offset);
    }
    absl::Status Write32(uint32_t offset, uint32_t value) override {
      owner_.Count();
      return registers_->Write32(offset, value);
    }

   private:
    Watched& owner_;
    std::unique_ptr<gpu::Registers> registers_;
  };
  void Count() {
    if (left_.fetch_sub(1) == 0) at_();
  }

  fake::Machine& machine_;
  std::atomic<int> left_;
  std::function<void()> at_;
};

// Runs as the hardware side until it is hung up on, then reports.
inline void RunHardware(int socket, SharedReport& report, int when = -1,
                        std::function<void()> at = {}) {
  fake::Machine machine(kGpus);
  Watched watched(machine, when, std::move(at));
  {
    LocalHardware hardware({machine.kernel, machine.clock, watched});
    report->served = Serve(hardware, socket).ok();
  }
  for (size_t i = 0; i < kGpus; ++i) {
    report->effective[i] = machine.Effective(i);
    report->pending[i] = machine.Pending(i);
  }
  report->ended = true;
}

}  // namespace gpuhost::cc_manager
