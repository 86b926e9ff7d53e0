// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/modules.h"

#include "libgpuhost/base/child.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr Duration kModprobeLimit = std::chrono::seconds(60);

}  // namespace

LoadModule HostModprobe(std::string host_root) {
  return [root = std::move(host_root)](const std::string& name) {
    return RunProgram(kModprobeLimit, root, {"/sbin/modprobe", name});
  };
}

absl::Status EnsureDriver(const HostFs& fs, const std::string& driver, const LoadModule& load) {
  const std::string path = fmt::format("/sys/bus/pci/drivers/{}", driver);
  if (fs.Exists(path)) return absl::OkStatus();
  const absl::Status loaded = load(driver);
  if (fs.Exists(path)) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "driver {} is not there ({}); install the kernel's module and load it", driver,
               loaded.ok() ? "its module is loaded, but has another name" : Text(loaded));
}

}  // namespace gpuhost::vfio
