// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/modules.h"

#include <algorithm>

#include "libgpuhost/base/child.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr Duration kModprobeLimit = std::chrono::seconds(60);

// Why the kernel takes no module at all, or what modprobe said.
std::string WhyNot(const HostFs& fs, const absl::Status& loaded) {
  if (loaded.ok()) return "it is loaded and offers none";
  if (fs.ReadAttribute("/proc/sys/kernel/modules_disabled").value_or("0") == "1") {
    return "this kernel loads no modules any more (kernel.modules_disabled is 1); have it loaded "
           "at boot by /etc/modules-load.d";
  }
  return Text(loaded);
}

std::string KernelName(std::string module) {
  std::ranges::replace(module, '-', '_');
  return module;
}

}  // namespace

LoadModule HostModprobe(std::string host_root) {
  return [root = std::move(host_root)](const std::string& name) {
    return RunProgram(kModprobeLimit, root, {"/sbin/modprobe", name});
  };
}

std::string DriverOf(const HostFs& fs, const std::string& module) {
  constexpr std::string_view kBus = "pci:";
  const std::string path = fmt::format("/sys/module/{}/drivers", KernelName(module));
  for (const std::string& name : fs.List(path).value_or(std::vector<std::string>())) {
    if (name.starts_with(kBus)) return name.substr(kBus.size());
  }
  return KernelName(module) == "vfio_pci" ? "vfio-pci" : module;
}

absl::Status EnsureDriver(const HostFs& fs, const std::string& module, const LoadModule& load) {
  const auto there = [&] { return fs.Exists("/sys/bus/pci/drivers/" + DriverOf(fs, module)); };
  if (there()) return absl::OkStatus();
  const absl::Status loaded = load(module);
  if (there()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "the driver of module {} is not there: {}; install the kernel's module and load it",
               module, WhyNot(fs, loaded));
}

absl::Status EnsureBackend(const HostFs& fs, Backend backend, const LoadModule& load) {
  constexpr const char* kGroup = "vfio_iommu_type1";
  constexpr const char* kIommufd = "iommufd";
  const auto ensure = [&](const char* module) -> absl::Status {
    // A built-in one is listed, too, for it has parameters.
    const auto there = [&] { return fs.Exists(fmt::format("/sys/module/{}", module)); };
    if (there()) return absl::OkStatus();
    const absl::Status loaded = load(module);
    if (there()) return absl::OkStatus();
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is not there, so that no guest's memory can be mapped for devices: {}", module,
                 loaded.ok() ? "modprobe says that it was loaded; does a line 'install' in "
                               "/etc/modprobe.d stand in for it"
                             : WhyNot(fs, loaded));
  };
  if (backend == Backend::kIommufd) return ensure(kIommufd);
  const absl::Status group = ensure(kGroup);
  if (group.ok() || backend == Backend::kGroup) return group;
  const absl::Status iommufd = ensure(kIommufd);
  return iommufd.ok() ? iommufd : Annotate(group, Text(iommufd));
}

}  // namespace gpuhost::vfio
