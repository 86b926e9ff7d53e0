// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/unbind_lock.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/kernel_users.h"

namespace gpuhost::vfio {
namespace {

constexpr Duration kLimit = std::chrono::seconds(5);
constexpr const char* kDriver = "nvidia";

std::string PathOf(const pci::Device& device) {
  return fmt::format("/proc/driver/nvidia/gpus/{}/unbindLock", device.bdf);
}

}  // namespace

UnbindLock::~UnbindLock() {
  for (const pci::Device& device : taken_) {
    if (fs_.LinkName(device.SysfsPath("driver")).value_or("") != kDriver) continue;
    fs_.WriteWithin(kLimit, PathOf(device), "0").IgnoreError();  // advice only; nothing is lost
  }
}

absl::Status UnbindLock::Take(const pci::Device& device) {
  if (device.driver != kDriver || !fs_.Exists(PathOf(device))) return absl::OkStatus();
  // An error of the write shows in what is read then.
  fs_.WriteWithin(kLimit, PathOf(device), "1").IgnoreError();
  const auto now = fs_.ReadWithin(kLimit, PathOf(device));
  if (!now.ok() || *now != "0") {
    if (now.ok() && *now == "1") taken_.push_back(device);
    return absl::OkStatus();
  }
  const std::string modules = ModulesOnNvidia(fs_);
  return Error(
      absl::StatusCode::kFailedPrecondition,
      "{}: the driver nvidia says that it is in use, though no process has it open: by persistence "
      "mode (nvidia-smi -pm 0 ends it), a console, or a module that stands on the driver ({}); end "
      "that first",
      device.bdf, modules.empty() ? "none is seen" : modules);
}

}  // namespace gpuhost::vfio
