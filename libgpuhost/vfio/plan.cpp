// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/plan.h"

#include <algorithm>

#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/steps.h"
#include "libgpuhost/vfio/units.h"

namespace gpuhost::vfio {
namespace {

constexpr const char* kNotOurs = "was bound to VFIO by something else; left alone";
constexpr const char* kPutBack =
    "was bound to VFIO by something else; left there, and its settings are put back";

bool Denied(const Request& request, const pci::Device& device) {
  const bool allowed = request.allow.empty() || MatchesAny(request.allow, device);
  return !allowed || MatchesAny(request.deny, device);
}

const Record* RecordOf(const Snapshot& seen, const pci::Bdf& bdf) {
  const auto found = seen.records.find(bdf);
  return found == seen.records.end() ? nullptr : &found->second;
}

bool IsUnbind(Goal goal) { return goal != Goal::kVfio && goal != Goal::kTaken; }

bool IsNative(const pci::Device& device) {
  return device.driver == "nvidia" || device.driver == "nouveau";
}

// A device that somebody else has bound since it was released is not ours any more.
bool Ours(const Snapshot& seen, const Request& request, const pci::Device& device) {
  const Record* record = RecordOf(seen, device.bdf);
  const bool ours = record != nullptr && record->state != Record::State::kAdjusted &&
                    (record->state == Record::State::kBound || !device.BoundToVfio());
  return request.foreign || ours;
}

// Whether it was unbound on request, and is to stay so.
bool StaysReleased(const Snapshot& seen, const Request& request, const pci::Device& device) {
  const Record* record = RecordOf(seen, device.bdf);
  const bool released = record != nullptr && (record->state == Record::State::kReleased ||
                                              record->state == Record::State::kReturned);
  return request.leave_released && released && !device.BoundToVfio();
}

// Whether this function is one that the request may write, if it belongs to a unit.
bool MayTake(const Snapshot& seen, const Request& request, const pci::Device& device) {
  if (device.is_virtual_function || MatchesAny(request.deny, device)) return false;
  switch (request.goal) {
    case Goal::kVfio:
      return (device.kind() != pci::Kind::kNvSwitch || request.nvswitches) &&
             !StaysReleased(seen, request, device);
    case Goal::kTaken:
      return IsNative(device) && device.kind() == pci::Kind::kGpu;
    case Goal::kDriverless:
    case Goal::kDefault:
    case Goal::kNvidia:
      return StaysWithOthers(seen, request, device) ||
             (Ours(seen, request, device) &&
              (device.BoundToVfio() || (Returns(request.goal) && !device.driver)));
  }
  return false;
}

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
  if (MayTake(seen, request, device)) return "";
  if (request.goal == Goal::kVfio) {
    return "was unbound on request; vfio-manage bind takes it again";
  }
  if (request.goal == Goal::kTaken) return "neither nvidia nor nouveau has it";
  if (!device.BoundToVfio()) return "no VFIO driver has it";
  return kNotOurs;
}

Unit Alone(const Request& request, const pci::Bdf& bdf) {
  return {.goal = request.goal, .leads = {bdf}};
}

}  // namespace

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
    const bool stays =
        by_address && IsUnbind(request.goal) && StaysWithOthers(seen, request, device);
    const std::string note = stays ? kNotOurs : NoteOf(seen, request, device);
    if (note.empty()) {
      leads.push_back(device);
      return;
    }
    units.push_back(Alone(request, device.bdf));
    const bool not_ours = device.BoundToVfio() && IsUnbind(request.goal) && by_address;
    if (not_ours) {
      units.back().blockers.push_back(
          {Obstacle::kNotOurs, device.bdf, note + "; --foreign takes it nevertheless"});
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
    const Steps plan = PlanSteps(seen, request, cluster);
    Unit unit{.goal = request.goal,
              .functions = cluster.functions,
              .steps = plan.steps,
              .modules = plan.modules,
              .blockers = FindBlockers(seen, request, cluster, plan.steps)};
    if (request.goal == Goal::kVfio) unit.losses = FindLosses(seen, cluster, plan.steps);
    const bool stays = IsUnbind(request.goal) && !Moves(plan.steps);
    if (stays) unit.note = plan.steps.empty() ? kNotOurs : kPutBack;
    for (const pci::Device& lead : cluster.leads) unit.leads.push_back(lead.bdf);
    units.push_back(std::move(unit));
  }
  std::ranges::sort(units, {}, [](const Unit& unit) { return unit.leads.front(); });
  return units;
}

}  // namespace gpuhost::vfio
