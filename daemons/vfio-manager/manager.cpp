// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/manager.h"

#include <algorithm>

#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/execute.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::vfio_manager {
namespace {

bool IsTarget(const pci::Device& device, bool nvswitches) {
  const bool kind =
      device.kind() == pci::Kind::kGpu || (nvswitches && device.kind() == pci::Kind::kNvSwitch);
  return kind && !device.is_virtual_function;
}

absl::StatusOr<pci::Device> SelectOne(const HostFs& fs, const std::string& address,
                                      bool nvswitches) {
  GPUHOST_ASSIGN(const pci::Bdf bdf, pci::Bdf::Parse(address));
  auto device = pci::ReadDevice(fs, bdf);
  if (!device.ok()) {
    return Annotate(device.status(), fmt::format("{}: no such PCI device", bdf));
  }
  if (!IsTarget(*device, nvswitches)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: is no NVIDIA GPU ({:04x}:{:04x} class {:06x}); left alone", bdf,
                 device->vendor, device->device, device->class_code);
  }
  return *device;
}

absl::StatusOr<std::vector<vfio::Step>> Plan(const Options& options, const pci::Device& device,
                                             const std::string& in_use_by) {
  return options.verb == Verb::kUnbind ? vfio::PlanUnbind(device, in_use_by)
                                       : vfio::PlanBind(device, vfio::kVfioPci, in_use_by);
}

}  // namespace

absl::StatusOr<std::vector<pci::Device>> SelectDevices(const HostFs& fs, const Options& options) {
  std::vector<pci::Device> devices;
  if (options.all) {
    GPUHOST_ASSIGN(devices, pci::ScanNvidia(fs));
    std::erase_if(devices, [&](const auto& d) { return !IsTarget(d, options.nvswitches); });
  }
  for (const std::string& address : options.devices) {
    GPUHOST_ASSIGN(devices.emplace_back(), SelectOne(fs, address, options.nvswitches));
  }
  return devices;
}

absl::StatusOr<std::vector<DeviceOutcome>> Apply(Deps& deps, const Options& options) {
  GPUHOST_ASSIGN(const std::vector<pci::Device> devices, SelectDevices(deps.fs, options));
  if (devices.empty()) return absl::NotFoundError("no NVIDIA GPU on this machine");
  const bool binds = options.verb != Verb::kUnbind;
  if (binds && !pci::HasIommu(deps.fs)) {
    return absl::UnavailableError(
        "no IOMMU: switch it on in the firmware (VT-d, AMD-Vi) and with intel_iommu=on or "
        "amd_iommu=on on the kernel command line");
  }
  const auto holders = vfio::FindHolders(deps.fs, devices);
  std::vector<DeviceOutcome> outcomes;
  for (const pci::Device& device : devices) {
    const auto holder = holders.find(device.bdf);
    auto steps =
        Plan(options, device, holder == holders.end() ? "" : vfio::ToString(holder->second));
    outcomes.push_back({device.bdf, steps.status(), steps.value_or(std::vector<vfio::Step>())});
  }
  if (options.dry_run) return outcomes;
  const bool writes = std::ranges::any_of(outcomes, [](const auto& o) { return !o.steps.empty(); });
  if (binds && writes) {
    GPUHOST_TRY(vfio::EnsureDriver(deps.fs, std::string(vfio::kVfioPci), deps.load_module));
  }
  InParallel(outcomes.size(), [&](size_t i) {
    DeviceOutcome& outcome = outcomes[i];
    if (outcome.status.ok()) {
      outcome.status = vfio::Execute(deps.fs, deps.clock, devices[i], outcome.steps);
    }
  });
  return outcomes;
}

}  // namespace gpuhost::vfio_manager
