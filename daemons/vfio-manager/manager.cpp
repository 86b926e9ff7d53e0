// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/manager.h"

#include <algorithm>
#include <map>
#include <set>

#include "daemons/vfio-manager/mode_change.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/turns.h"

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

// The errors of units that are not to be tried yet, by first lead.
using Held = std::map<pci::Bdf, absl::Status>;

Held HoldBack(Deps& deps, const std::vector<vfio::Unit>& units, Retries* retries) {
  Held held;
  for (const vfio::Unit& unit : units) {
    if (retries == nullptr || !unit.Admission().ok()) continue;
    if (auto error = retries->Held(unit, deps.clock.Now())) held[unit.leads.front()] = *error;
  }
  return held;
}

// What loading the modules of all units came to, by module.
std::map<std::string, absl::Status> LoadModules(Deps& deps, const vfio::Request& request,
                                                const std::vector<vfio::Unit>& units,
                                                const Held& held) {
  std::map<std::string, absl::Status> loaded;
  for (const vfio::Unit& unit : units) {
    if (!unit.Admission().ok() || held.contains(unit.leads.front())) continue;
    for (const std::string& module : unit.modules) {
      if (loaded.contains(module)) continue;
      absl::Status& status = loaded[module];
      status = vfio::EnsureDriver(deps.fs, module, deps.load_module);
      if (status.ok() && unit.goal == vfio::Goal::kVfio) {
        status = vfio::EnsureBackend(deps.fs, request.backend, deps.load_module);
      }
    }
  }
  return loaded;
}

// A driver that is loaded with the option ids= takes devices at once: that was us, as if by plan.
absl::Status RememberLoaded(HostFs& fs, const vfio::Snapshot& before, const vfio::Snapshot& now) {
  for (const pci::Device& device : now.devices) {
    const auto was = std::ranges::find(before.devices, device.bdf, &pci::Device::bdf);
    if (was == before.devices.end() || was->BoundToVfio() || !device.BoundToVfio()) continue;
    GPUHOST_TRY(vfio::WriteRecord(fs, device.bdf,
                                  vfio::RecordBefore(fs, *was, vfio::Record::State::kBound)));
  }
  return absl::OkStatus();
}

// cc-manager may have begun since the plan was made.
absl::Status AskAgain(const HostFs& fs, const vfio::Unit& unit) {
  const auto reserved = DevicesInModeChange(fs);
  for (const pci::Device& device : unit.functions) {
    const auto who = reserved.find(device.bdf);
    if (who != reserved.end()) return absl::FailedPreconditionError(who->second);
  }
  return absl::OkStatus();
}

// Carries out those that nothing stands in the way of; they are sorted by address.
void CarryOut(Deps& deps, const vfio::Request& request, const vfio::Conduct& conduct,
              const std::vector<UnitOutcome*>& work) {
  vfio::Turns turns(work.size());
  InParallel(work.size(), [&](size_t i) {
    vfio::Conduct own = conduct;
    own.force = request.force;
    own.last_look = [&] { return AskAgain(deps.fs, work[i]->unit); };
    own.before_bind = [&] { turns.Await(i); };
    work[i]->status = vfio::Execute(deps.fs, deps.clock, work[i]->unit, own);
    turns.Done(i);
  });
}

// What the next pass has to know. Units that failed are planned once more, so that it is known how
// they were left.
void Note(Deps& deps, const vfio::Request& request, const std::vector<UnitOutcome>& outcomes,
          const Held& held, Retries& retries) {
  std::set<pci::Bdf> leads;
  std::vector<vfio::Unit> left;
  const auto after = [&](const vfio::Unit& unit) {
    if (left.empty()) {
      const auto seen = vfio::Observe(deps.fs);
      if (seen.ok()) left = vfio::Plan(*seen, request);
    }
    const auto found = std::ranges::find_if(
        left, [&](const vfio::Unit& other) { return other.leads.front() == unit.leads.front(); });
    return found == left.end() ? unit : *found;
  };
  for (const auto& [unit, status] : outcomes) {
    leads.insert(unit.leads.front());
    if (held.contains(unit.leads.front())) continue;
    if (status.ok()) {
      retries.Succeeded(unit);
    } else if (!unit.Admission().ok()) {
      retries.Blocked(unit, deps.clock.Now());
    } else {
      retries.Tried(after(unit), status, deps.clock.Now());
    }
  }
  retries.Keep(leads);
}

}  // namespace

absl::StatusOr<vfio::Request> MakeRequest(const HostFs& fs, const Options& options) {
  vfio::Request request{.goal = GoalOf(options),
                        .foreign = options.foreign,
                        .force = options.force,
                        .console = options.console,
                        .backend = options.backend,
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
  request.unusable = UnusableDevices(fs);
  return request;
}

absl::StatusOr<std::vector<UnitOutcome>> Apply(Deps& deps, const vfio::Request& request,
                                               vfio::Conduct conduct, bool dry_run,
                                               Retries* retries) {
  GPUHOST_ASSIGN(vfio::Snapshot seen, Observe(deps.fs, request));
  std::vector<vfio::Unit> units = vfio::Plan(seen, request);
  const Held held = HoldBack(deps, units, retries);
  std::map<std::string, absl::Status> loaded;
  if (!dry_run) loaded = LoadModules(deps, request, units, held);
  if (!loaded.empty()) {
    const vfio::Snapshot before = std::move(seen);
    // A module's driver may have another name than was thought.
    GPUHOST_ASSIGN(seen, Observe(deps.fs, request));
    GPUHOST_TRY(RememberLoaded(deps.fs, before, seen));
    seen.records = vfio::ReadRecords(deps.fs);
    units = vfio::Plan(seen, request);
  }
  std::vector<UnitOutcome> outcomes;
  for (vfio::Unit& unit : units) {
    absl::Status status = unit.Admission();
    const auto error = held.find(unit.leads.front());
    if (status.ok() && error != held.end()) status = error->second;
    for (const std::string& module : unit.modules) {
      if (status.ok() && loaded.contains(module)) status = loaded[module];
    }
    outcomes.push_back({std::move(unit), status});
  }
  if (dry_run) return outcomes;

  std::vector<UnitOutcome*> work;
  for (UnitOutcome& outcome : outcomes) {
    if (outcome.status.ok() && !outcome.unit.steps.empty()) work.push_back(&outcome);
  }
  CarryOut(deps, request, conduct, work);
  if (retries != nullptr) Note(deps, request, outcomes, held, *retries);
  return outcomes;
}

}  // namespace gpuhost::vfio_manager
