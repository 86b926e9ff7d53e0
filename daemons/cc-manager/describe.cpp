// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/describe.h"

#include <nlohmann/json.hpp>

#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

absl::StatusOr<std::vector<Intent>> PlanChange(const gpu::Host& host, cc::Mode mode, bool force) {
  GPUHOST_ASSIGN(const auto seen, ObserveNode(host));
  GPUHOST_TRY(cc::Admit(seen, mode, {.force = force}));
  std::vector<Intent> intents;
  for (const cc::Observation& gpu : seen) {
    Intent intent{.bdf = gpu.device.bdf, .state = gpu.state, .takes_part = TakesPart(gpu, mode)};
    if (intent.takes_part && gpu.state.ok()) {
      intent.plan = cc::PlanDevice(intent.bdf, gpu.chip->architecture, *gpu.state, mode);
    }
    intents.push_back(std::move(intent));
  }
  return intents;
}

std::string RenderText(const std::vector<Intent>& intents) {
  std::string text;
  for (const Intent& intent : intents) {
    if (intent.plan) {
      text += ToString(*intent.plan) + "\n";
    } else if (intent.takes_part) {
      text += fmt::format("{}: mode unknown ({})\n", intent.bdf, Text(intent.state.status()));
    } else {
      text += fmt::format("{}: nothing to do\n", intent.bdf);
    }
  }
  return text;
}

std::string RenderJson(const std::vector<Intent>& intents, cc::Mode mode) {
  using nlohmann::ordered_json;
  ordered_json devices = ordered_json::array();
  for (const Intent& intent : intents) {
    ordered_json device{
        {"bdf", intent.bdf.ToString()},   {"mode", nullptr},  {"takes_part", intent.takes_part},
        {"knobs", ordered_json::array()}, {"reset", nullptr}, {"error", nullptr}};
    if (intent.state.ok()) {
      device["mode"] = ToString(*intent.state);
    } else {
      device["error"] = Text(intent.state.status());
    }
    if (intent.plan) {
      for (const cc::KnobStep& step : intent.plan->knobs) {
        device["knobs"].push_back({{"knob", gpu::KnobName(step.knob)}, {"value", step.value}});
      }
      device["reset"] = intent.plan->reset;
    }
    devices.push_back(std::move(device));
  }
  const ordered_json plan{{"schema", 1}, {"wanted", ToString(mode)}, {"devices", devices}};
  return plan.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gpuhost::cc_manager
