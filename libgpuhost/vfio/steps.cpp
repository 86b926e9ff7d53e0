// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/steps.h"

#include <algorithm>

namespace gpuhost::vfio {
namespace {

// Adds what brings `device` to the VFIO driver that fits it.
void PlanBind(const Snapshot& seen, const Request& request, const pci::Device& device,
              Steps& plan) {
  const Driver& driver = seen.vfio_drivers.at(device.bdf);
  const bool moves = device.driver != driver.name;
  // What is not known is written, where nothing else stands in the way.
  if (!device.guarded.ok() || device.guarded->driver_override != driver.name) {
    plan.steps.push_back({Action::kOverride, device.bdf, driver.name});
  }
  if (moves) {
    if (device.driver) plan.steps.push_back({Action::kUnbind, device.bdf, *device.driver});
    plan.steps.push_back({Action::kBind, device.bdf, driver.name});
    if (std::ranges::find(plan.modules, driver.module) == plan.modules.end()) {
      plan.modules.push_back(driver.module);
    }
  }
  if (!request.keep_awake) return;
  // Binding itself makes vfio-pci write "auto" there.
  if (moves || device.power_control == "auto") {
    plan.steps.push_back({Action::kPower, device.bdf, "on"});
  }
  if (device.d3cold_allowed == "1") plan.steps.push_back({Action::kD3cold, device.bdf, "0"});
}

// Adds what takes `device` from VFIO, and gives it a driver where the goal says so.
void PlanUnbind(const Snapshot& seen, const Request& request, const pci::Device& device,
                Steps& plan) {
  const auto add = [&](Action action, const std::string& value) {
    plan.steps.push_back({action, device.bdf, value});
  };
  const auto record = seen.records.find(device.bdf);
  const Record before = record == seen.records.end() ? Record() : record->second;
  // Switches have a driver of their own.
  const bool to_nvidia = request.goal == Goal::kNvidia && device.kind() == pci::Kind::kGpu;
  const bool keeps = !to_nvidia && !pci::IsVfioDriver(before.driver_override);
  const std::string override = keeps ? before.driver_override : "";
  const bool has_other = device.guarded.ok() && device.guarded->driver_override &&
                         device.guarded->driver_override != override;
  if (has_other) {
    add(Action::kOverride, override);
  }
  const bool stays = StaysWithOthers(seen, request, device);
  if (device.driver && !stays) add(Action::kUnbind, *device.driver);
  if (!before.d3cold_allowed.empty() && device.d3cold_allowed != before.d3cold_allowed) {
    add(Action::kD3cold, before.d3cold_allowed);
  }
  if (!before.power_control.empty() && device.power_control != before.power_control) {
    add(Action::kPower, before.power_control);
  }
  if (stays) return;
  if (to_nvidia) {
    add(Action::kBind, "nvidia");
    plan.modules = {"nvidia"};
  } else if (Returns(request.goal)) {
    const bool there = seen.drivers.contains(before.driver) && !pci::IsVfioDriver(before.driver);
    add(there ? Action::kBind : Action::kProbe, there ? before.driver : "");
  }
}

}  // namespace

Steps PlanSteps(const Snapshot& seen, const Request& request, const Cluster& cluster) {
  Steps plan;
  switch (request.goal) {
    case Goal::kVfio:
      for (const pci::Device& device : cluster.functions) PlanBind(seen, request, device, plan);
      break;
    case Goal::kTaken:
      for (const pci::Device& device : cluster.functions) {
        plan.steps.push_back({Action::kUnbind, device.bdf, *device.driver});
      }
      break;
    case Goal::kDriverless:
    case Goal::kDefault:
    case Goal::kNvidia:
      for (auto device = cluster.functions.rbegin(); device != cluster.functions.rend(); ++device) {
        PlanUnbind(seen, request, *device, plan);
      }
      break;
  }
  return plan;
}

bool Moves(const std::vector<Step>& steps) {
  return std::ranges::any_of(steps, [](const Step& step) {
    return step.action != Action::kOverride && !step.IsOptional();
  });
}

bool StaysWithOthers(const Snapshot& seen, const Request& request, const pci::Device& device) {
  const auto record = seen.records.find(device.bdf);
  return record != seen.records.end() && record->second.state == Record::State::kAdjusted &&
         device.BoundToVfio() && !request.foreign;
}

bool Returns(Goal goal) { return goal == Goal::kDefault || goal == Goal::kNvidia; }

}  // namespace gpuhost::vfio
