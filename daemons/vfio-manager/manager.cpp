// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/manager.h"

#include <algorithm>
#include <map>

#include "daemons/vfio-manager/mode_change.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::vfio_manager {
namespace {

vfio::Goal GoalOf(const Options& options) {
  switch (options.verb) {
    case Verb::kUnbind:
      return options.to;
    case Verb::kUninstall:
      return vfio::Goal::kTaken;
    case Verb::kBind:
    case Verb::kRun:
      break;
  }
  return vfio::Goal::kVfio;
}

absl::StatusOr<std::vector<vfio::Pattern>> ParseAll(const std::vector<std::string>& texts) {
  std::vector<vfio::Pattern> patterns;
  for (const std::string& text : texts) {
    GPUHOST_ASSIGN(patterns.emplace_back(), vfio::Pattern::Parse(text));
  }
  return patterns;
}

// A machine can be without IOMMU in two ways, and the remedy differs.
absl::Status NoIommu(const HostFs& fs) {
  const bool virtual_machine =
      fs.Read("/proc/cpuinfo").value_or("").find(" hypervisor") != std::string::npos;
  return Error(
      absl::StatusCode::kUnavailable,
      "no IOMMU: switch it on in the firmware (VT-d, AMD-Vi) and with intel_iommu=on or "
      "amd_iommu=on on the kernel command line{}",
      virtual_machine ? "; this is a virtual machine, so its hypervisor has to offer one" : "");
}

bool IsPassedThrough(const pci::Device& device) {
  return !device.is_virtual_function &&
         (device.kind() == pci::Kind::kGpu || device.kind() == pci::Kind::kNvSwitch);
}

absl::StatusOr<vfio::Snapshot> Observe(const HostFs& fs, const vfio::Request& request) {
  GPUHOST_ASSIGN(vfio::Snapshot seen, vfio::Observe(fs));
  if (std::ranges::none_of(seen.devices, IsPassedThrough)) {
    return absl::NotFoundError("no NVIDIA GPU on this machine");
  }
  if (request.goal == vfio::Goal::kVfio && !pci::HasIommu(fs)) return NoIommu(fs);
  return seen;
}

// What loading the modules of all units came to, by module.
std::map<std::string, absl::Status> LoadModules(Deps& deps, const std::vector<vfio::Unit>& units) {
  std::map<std::string, absl::Status> loaded;
  for (const vfio::Unit& unit : units) {
    if (!unit.Admission().ok()) continue;
    for (const std::string& module : unit.modules) {
      if (loaded.contains(module)) continue;
      absl::Status& status = loaded[module];
      status = vfio::EnsureDriver(deps.fs, module, deps.load_module);
      if (status.ok() && unit.goal == vfio::Goal::kVfio) {
        status = vfio::EnsureBackend(deps.fs, deps.load_module);
      }
    }
  }
  return loaded;
}

}  // namespace

absl::StatusOr<vfio::Request> MakeRequest(const HostFs& fs, const Options& options) {
  vfio::Request request{.goal = GoalOf(options),
                        .foreign = options.foreign,
                        .force = options.force,
                        .keep_awake = options.keep_awake,
                        .leave_released = options.verb == Verb::kRun};
  for (const std::string& address : options.devices) {
    GPUHOST_ASSIGN(request.devices.emplace_back(), pci::Bdf::Parse(address));
  }
  std::ranges::sort(request.devices);
  request.devices.erase(std::unique(request.devices.begin(), request.devices.end()),
                        request.devices.end());
  // Unbinding takes what binding took; nothing else is ours.
  request.nvswitches = options.nvswitches == Switches::kYes ||
                       (options.nvswitches == Switches::kAuto &&
                        (options.verb == Verb::kUnbind || WantsNvSwitches(fs)));
  GPUHOST_ASSIGN(request.allow, ParseAll(options.allow));
  GPUHOST_ASSIGN(request.deny, ParseAll(options.deny));
  request.reserved = DevicesInModeChange(fs);
  return request;
}

absl::StatusOr<std::vector<UnitOutcome>> Apply(Deps& deps, const vfio::Request& request,
                                               vfio::Conduct conduct, bool dry_run) {
  GPUHOST_ASSIGN(vfio::Snapshot seen, Observe(deps.fs, request));
  std::vector<vfio::Unit> units = vfio::Plan(seen, request);
  std::map<std::string, absl::Status> loaded;
  if (!dry_run) loaded = LoadModules(deps, units);
  if (!loaded.empty()) {
    // A module's driver may have another name than was thought.
    GPUHOST_ASSIGN(seen, Observe(deps.fs, request));
    units = vfio::Plan(seen, request);
  }
  std::vector<UnitOutcome> outcomes;
  for (vfio::Unit& unit : units) {
    absl::Status status = unit.Admission();
    for (const std::string& module : unit.modules) {
      if (status.ok()) status = loaded[module];
    }
    outcomes.push_back({std::move(unit), status});
  }
  if (dry_run) return outcomes;

  std::vector<UnitOutcome*> work;
  for (UnitOutcome& outcome : outcomes) {
    if (outcome.status.ok() && !outcome.unit.steps.empty()) work.push_back(&outcome);
  }
  InParallel(work.size(), [&](size_t i) {
    vfio::Conduct own = conduct;
    own.force = request.force;
    own.last_look = [&deps, unit = &work[i]->unit]() -> absl::Status {
      const auto reserved = DevicesInModeChange(deps.fs);
      for (const pci::Device& device : unit->functions) {
        const auto who = reserved.find(device.bdf);
        if (who != reserved.end()) return absl::FailedPreconditionError(who->second);
      }
      return absl::OkStatus();
    };
    work[i]->status = vfio::Execute(deps.fs, deps.clock, work[i]->unit, own);
  });
  return outcomes;
}

}  // namespace gpuhost::vfio_manager
