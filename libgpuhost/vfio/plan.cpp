// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/plan.h"

#include <algorithm>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/units.h"

namespace gpuhost::vfio {
namespace {

bool MatchesAny(const std::vector<Pattern>& patterns, const pci::Device& device) {
  return std::ranges::any_of(patterns, [&](const Pattern& p) { return p.Matches(device); });
}

bool Denied(const Request& request, const pci::Device& device) {
  const bool allowed = request.allow.empty() || MatchesAny(request.allow, device);
  return !allowed || MatchesAny(request.deny, device);
}

const Record* RecordOf(const Snapshot& seen, const pci::Bdf& bdf) {
  const auto found = seen.records.find(bdf);
  return found == seen.records.end() ? nullptr : &found->second;
}

bool IsNative(const pci::Device& device) {
  return device.driver == "nvidia" || device.driver == "nouveau";
}

// A driver beside which VFIO does not hand out a group. Source: those with driver_managed_dma in
// Linux, drivers/pci/pcie/portdrv.c and pci-stub.c.
bool IsOrdinary(const pci::Device& device) {
  return device.driver && !device.BoundToVfio() && device.driver != "pci-stub" &&
         device.driver != "pcieport";
}

bool Ours(const Snapshot& seen, const Request& request, const pci::Device& device) {
  return request.foreign || RecordOf(seen, device.bdf) != nullptr;
}

bool Returns(Goal goal) { return goal == Goal::kDefault || goal == Goal::kNvidia; }

// Whether this function is one that the request may write, if it belongs to a unit.
bool MayTake(const Snapshot& seen, const Request& request, const pci::Device& device) {
  if (device.is_virtual_function || MatchesAny(request.deny, device)) return false;
  switch (request.goal) {
    case Goal::kVfio:
      return device.kind() != pci::Kind::kNvSwitch || request.nvswitches;
    case Goal::kTaken:
      return IsNative(device) && device.kind() == pci::Kind::kGpu;
    case Goal::kDriverless:
    case Goal::kDefault:
    case Goal::kNvidia:
      return Ours(seen, request, device) &&
             (device.BoundToVfio() || (Returns(request.goal) && !device.driver));
  }
  return false;
}

// ------------------------------------------------------------------------------------- steps

// Adds what brings `device` to the VFIO driver that fits it.
void PlanBind(const Snapshot& seen, const Request& request, const pci::Device& device, Unit& unit) {
  const Driver& driver = seen.vfio_drivers.at(device.bdf);
  const bool moves = device.driver != driver.name;
  if (device.driver_override != driver.name) {
    unit.steps.push_back({Action::kOverride, device.bdf, driver.name});
  }
  if (moves) {
    if (device.driver) unit.steps.push_back({Action::kUnbind, device.bdf, *device.driver});
    unit.steps.push_back({Action::kBind, device.bdf, driver.name});
    if (std::ranges::find(unit.modules, driver.module) == unit.modules.end()) {
      unit.modules.push_back(driver.module);
    }
  }
  if (!request.keep_awake) return;
  // Binding itself makes vfio-pci write "auto" there.
  if (moves || device.power_control == "auto") {
    unit.steps.push_back({Action::kPower, device.bdf, "on"});
  }
  if (device.d3cold_allowed == "1") unit.steps.push_back({Action::kD3cold, device.bdf, "0"});
}

// Adds what takes `device` from VFIO, and gives it a driver where the goal says so.
void PlanUnbind(const Snapshot& seen, const Request& request, const pci::Device& device,
                Unit& unit) {
  const auto add = [&](Action action, const std::string& value) {
    unit.steps.push_back({action, device.bdf, value});
  };
  const Record* record = RecordOf(seen, device.bdf);
  const Record before = record == nullptr ? Record() : *record;
  const bool to_nvidia = request.goal == Goal::kNvidia && device.kind() != pci::Kind::kCompanion;
  const bool keeps = !to_nvidia && !pci::IsVfioDriver(before.driver_override);
  const std::string override = keeps ? before.driver_override : "";
  if (device.driver_override && device.driver_override != override) {
    add(Action::kOverride, override);
  }
  if (device.driver) add(Action::kUnbind, *device.driver);
  if (!before.d3cold_allowed.empty() && device.d3cold_allowed != before.d3cold_allowed) {
    add(Action::kD3cold, before.d3cold_allowed);
  }
  if (!before.power_control.empty() && device.power_control != before.power_control) {
    add(Action::kPower, before.power_control);
  }
  if (to_nvidia) {
    add(Action::kBind, "nvidia");
    unit.modules = {"nvidia"};
  } else if (Returns(request.goal)) {
    const bool there = seen.drivers.contains(before.driver) && !pci::IsVfioDriver(before.driver);
    add(there ? Action::kBind : Action::kProbe, there ? before.driver : "");
  }
}

void AddSteps(const Snapshot& seen, const Request& request, const Cluster& cluster, Unit& unit) {
  switch (request.goal) {
    case Goal::kVfio:
      for (const pci::Device& device : cluster.functions) PlanBind(seen, request, device, unit);
      break;
    case Goal::kTaken:
      for (const pci::Device& device : cluster.functions) {
        unit.steps.push_back({Action::kUnbind, device.bdf, *device.driver});
      }
      break;
    case Goal::kDriverless:
    case Goal::kDefault:
    case Goal::kNvidia:
      for (auto device = cluster.functions.rbegin(); device != cluster.functions.rend(); ++device) {
        PlanUnbind(seen, request, *device, unit);
      }
      break;
  }
}

// ---------------------------------------------------------------------------------- blockers

void Block(Unit& unit, Obstacle obstacle, const pci::Bdf& bdf, std::string text) {
  unit.blockers.push_back({obstacle, bdf, std::move(text)});
}

void CheckVfioPossible(const Snapshot& seen, const pci::Device& device, Unit& unit) {
  if (!device.iommu_group) {
    Block(unit, Obstacle::kNoIommu, device.bdf,
          "has no IOMMU group; switch the IOMMU on in the firmware and with intel_iommu=on or "
          "amd_iommu=on on the kernel command line");
    return;
  }
  const auto group = seen.groups.find(*device.iommu_group);
  if (group != seen.groups.end() && group->second.name == "vfio-noiommu") {
    Block(unit, Obstacle::kNoIommuMode, device.bdf,
          "is in VFIO's unsafe mode without IOMMU, which protects nobody from the device; switch "
          "the IOMMU on, and enable_unsafe_noiommu_mode of module vfio off");
  }
  if (!device.driver_override) {
    Block(unit, Obstacle::kNoOverride, device.bdf,
          "has no driver_override; this needs a writable /sys and Linux 3.16 or newer");
  }
  const bool moves = device.driver != seen.vfio_drivers.at(device.bdf).name;
  if (moves && device.virtual_functions > 0) {
    Block(unit, Obstacle::kVfsEnabled, device.bdf,
          fmt::format("has {} virtual functions enabled, which would be lost; write 0 to its "
                      "sriov_numvfs first",
                      device.virtual_functions));
  }
}

void CheckStrangers(const Request& request, const Cluster& cluster, Unit& unit) {
  for (const pci::Device& stranger : cluster.strangers) {
    if (!IsOrdinary(stranger)) continue;
    const std::string_view why = stranger.kind() == pci::Kind::kForeign ? "is not NVIDIA's"
                                 : MatchesAny(request.deny, stranger)   ? "is denied"
                                                                        : "is not asked for";
    Block(unit, Obstacle::kGroupNotViable, cluster.functions.back().bdf,
          fmt::format("its IOMMU group {} is not viable: {} ({:04x}:{:04x}), which {}, is held by "
                      "driver {}; unbind it, or separate them (another slot, ACS)",
                      stranger.iommu_group.value_or(0), stranger.bdf, stranger.vendor,
                      stranger.device, why, *stranger.driver));
  }
}

// Who has any of the unit's devices, or their groups, open.
void CheckUsers(const Snapshot& seen, const Cluster& cluster, Unit& unit) {
  for (const pci::Device& device : cluster.functions) {
    const auto found = seen.holders.find(device.bdf);
    if (found == seen.holders.end()) continue;
    Block(unit, Obstacle::kInUse, device.bdf,
          fmt::format("in use by {}; end that first", ToString(found->second)));
  }
}

void AddBlockers(const Snapshot& seen, const Request& request, const Cluster& cluster, Unit& unit) {
  if (request.goal == Goal::kVfio) {
    for (const pci::Device& device : cluster.functions) CheckVfioPossible(seen, device, unit);
    CheckStrangers(request, cluster, unit);
  }
  const bool moves = std::ranges::any_of(unit.steps, [](const Step& step) {
    return step.action != Action::kOverride && !step.IsOptional();
  });
  if (moves) CheckUsers(seen, cluster, unit);
  if (unit.steps.empty()) return;
  for (const pci::Device& device : cluster.functions) {
    if (const auto who = request.reserved.find(device.bdf); who != request.reserved.end()) {
      Block(unit, Obstacle::kReserved, device.bdf, who->second);
    }
  }
}

// ----------------------------------------------------------------------------------- targets

// Why a device that was asked for by its address cannot be a lead; nothing when it can.
std::optional<Blocker> Refusal(const Snapshot& seen, const Request& request, const pci::Bdf& bdf) {
  const auto found = std::ranges::find(seen.devices, bdf, &pci::Device::bdf);
  if (found == seen.devices.end()) {
    return Blocker{Obstacle::kNotThere, bdf, "no such NVIDIA device"};
  }
  if (found->kind() == pci::Kind::kNvSwitch && !request.nvswitches) {
    return Blocker{Obstacle::kNoGpu, bdf,
                   "is an NVSwitch; left alone, unless switches are asked for"};
  }
  if (found->kind() == pci::Kind::kCompanion || found->is_virtual_function) {
    return Blocker{Obstacle::kNoGpu, bdf,
                   fmt::format("is no NVIDIA GPU ({:04x}:{:04x} class {:06x}); left alone",
                               found->vendor, found->device, found->class_code)};
  }
  if (Denied(request, *found)) return Blocker{Obstacle::kDenied, bdf, "is denied; left alone"};
  return std::nullopt;
}

// Why a lead is left as it is, where nobody is to blame.
std::string NoteOf(const Snapshot& seen, const Request& request, const pci::Device& device) {
  const Record* record = RecordOf(seen, device.bdf);
  if (request.goal == Goal::kVfio) {
    const bool released = record != nullptr && (record->state == Record::State::kReleased ||
                                                record->state == Record::State::kReturned);
    if (!request.leave_released || !released) return "";
    return "was unbound on request; vfio-manage bind takes it again";
  }
  if (MayTake(seen, request, device)) return "";
  if (request.goal == Goal::kTaken) return "neither nvidia nor nouveau has it";
  if (!device.BoundToVfio()) return "no VFIO driver has it";
  return "was bound to VFIO by something else; left alone";
}

Unit Alone(const Request& request, const pci::Bdf& bdf) {
  return {.goal = request.goal, .leads = {bdf}};
}

}  // namespace

absl::StatusOr<Pattern> Pattern::Parse(std::string_view text) {
  if (const auto bdf = pci::Bdf::Parse(text); bdf.ok()) return Pattern{.bdf = *bdf};
  const size_t colon = text.find(':');
  const auto vendor = ParseHex(text.substr(0, colon), 0xffff);
  const auto device =
      colon == std::string_view::npos ? std::nullopt : ParseHex(text.substr(colon + 1), 0xffff);
  if (!vendor || !device) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "'{}' is neither an address like 0000:41:00.0 nor ids like 10de:2331", text);
  }
  return Pattern{.vendor = static_cast<uint16_t>(*vendor),
                 .device = static_cast<uint16_t>(*device)};
}

bool Pattern::Matches(const pci::Device& other) const {
  return bdf ? *bdf == other.bdf : vendor == other.vendor && device == other.device;
}

std::string_view ToString(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kNotThere:
      return "not-there";
    case Obstacle::kNoGpu:
      return "no-gpu";
    case Obstacle::kDenied:
      return "denied";
    case Obstacle::kNoIommu:
      return "no-iommu";
    case Obstacle::kNoIommuMode:
      return "noiommu-mode";
    case Obstacle::kNoOverride:
      return "no-override";
    case Obstacle::kVfsEnabled:
      return "vfs-enabled";
    case Obstacle::kGroupNotViable:
      return "group-not-viable";
    case Obstacle::kInUse:
      return "in-use";
    case Obstacle::kReserved:
      return "mode-change";
    case Obstacle::kNotOurs:
      return "not-ours";
  }
  return "";
}

absl::Status Unit::Admission() const {
  if (blockers.empty()) return absl::OkStatus();
  std::string text;
  for (const Blocker& blocker : blockers) {
    text += text.empty() ? "" : "; ";
    // The device is named where it is not the one that the whole is about.
    if (leads.size() != 1 || blocker.bdf != leads[0]) text += fmt::format("{}: ", blocker.bdf);
    text += blocker.text;
  }
  return absl::FailedPreconditionError(text);
}

std::vector<Unit> Plan(const Snapshot& seen, const Request& request) {
  std::vector<Unit> units;
  std::vector<pci::Device> leads;
  const auto consider = [&](const pci::Device& device, bool by_address) {
    const std::string note = NoteOf(seen, request, device);
    if (note.empty()) {
      leads.push_back(device);
      return;
    }
    units.push_back(Alone(request, device.bdf));
    const bool not_ours = device.BoundToVfio() && request.goal != Goal::kVfio &&
                          request.goal != Goal::kTaken && by_address;
    if (not_ours) {
      Block(units.back(), Obstacle::kNotOurs, device.bdf,
            note + "; --foreign takes it nevertheless");
    } else {
      units.back().note = note;
    }
  };
  for (const pci::Bdf& bdf : request.devices) {
    if (auto refusal = Refusal(seen, request, bdf)) {
      units.push_back(Alone(request, bdf));
      units.back().blockers.push_back(*std::move(refusal));
      continue;
    }
    consider(*std::ranges::find(seen.devices, bdf, &pci::Device::bdf), /*by_address=*/true);
  }
  for (const pci::Device& device : seen.devices) {
    if (request.devices.empty() && !Refusal(seen, request, device.bdf)) consider(device, false);
  }
  const auto may_take = [&](const pci::Device& device) { return MayTake(seen, request, device); };
  for (const Cluster& cluster : FindClusters(seen, leads, may_take)) {
    Unit unit{.goal = request.goal, .functions = cluster.functions};
    for (const pci::Device& lead : cluster.leads) unit.leads.push_back(lead.bdf);
    AddSteps(seen, request, cluster, unit);
    AddBlockers(seen, request, cluster, unit);
    units.push_back(std::move(unit));
  }
  std::ranges::sort(units, {}, [](const Unit& unit) { return unit.leads.front(); });
  return units;
}

}  // namespace gpuhost::vfio
