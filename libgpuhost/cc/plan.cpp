// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/plan.h"

#include <algorithm>
#include <array>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc {
namespace {

using enum gpu::Knob;

constexpr std::array<KnobStep, 4> kOffKnobs{
    {{kBar0Decoupler, 0}, {kPpcie, 0}, {kCcDevtools, 0}, {kCcMode, 0}}};
constexpr std::array<KnobStep, 7> kOnKnobs{{{kFeature2, 0},
                                            {kFeature4, 0},
                                            {kFeature34, 0},
                                            {kPpcie, 0},
                                            {kBar0Decoupler, 2},
                                            {kCcMode, 1},
                                            {kCcDevtools, 0}}};
constexpr std::array<KnobStep, 7> kDevtoolsKnobs{{{kFeature2, 0},
                                                  {kFeature4, 0},
                                                  {kFeature34, 0},
                                                  {kPpcie, 0},
                                                  {kBar0Decoupler, 0},
                                                  {kCcMode, 1},
                                                  {kCcDevtools, 1}}};
constexpr std::array<KnobStep, 7> kPpcieKnobs{{{kFeature2, 0},
                                               {kFeature4, 0},
                                               {kFeature34, 0},
                                               {kCcDevtools, 0},
                                               {kCcMode, 0},
                                               {kBar0Decoupler, 2},
                                               {kPpcie, 1}}};

constexpr std::array<KnobStep, 2> kBlackwellOffKnobs{{{kCcDevtools, 0}, {kCcMode, 0}}};
constexpr std::array<KnobStep, 2> kBlackwellOnKnobs{{{kCcMode, 1}, {kCcDevtools, 0}}};
constexpr std::array<KnobStep, 2> kBlackwellDevtoolsKnobs{{{kCcMode, 1}, {kCcDevtools, 1}}};
constexpr std::array<KnobStep, 2> kSwitchOffKnobs{{{kBar0Decoupler, 0}, {kPpcie, 0}}};
constexpr std::array<KnobStep, 7> kSwitchPpcieKnobs{{{kFeature2, 0},
                                                     {kFeature4, 0},
                                                     {kFeature34, 0},
                                                     {kCcDevtools, 0},
                                                     {kCcMode, 0},
                                                     {kBar0Decoupler, 0},
                                                     {kPpcie, 1}}};

std::span<const KnobStep> HopperKnobs(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return kOffKnobs;
    case Mode::kOn:
      return kOnKnobs;
    case Mode::kDevtools:
      return kDevtoolsKnobs;
    case Mode::kPpcie:
      return kPpcieKnobs;
  }
  return {};
}

std::span<const KnobStep> BlackwellKnobs(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return kBlackwellOffKnobs;
    case Mode::kOn:
      return kBlackwellOnKnobs;
    case Mode::kDevtools:
      return kBlackwellDevtoolsKnobs;
    case Mode::kPpcie:
      return {};  // see CanReach
  }
  return {};
}

// The kernel takes the first method of reset_method that the device has; "pm" would keep the mode,
// and no other is known to bring the new one without touching neighbours.
// Source: __pci_reset_function_locked in drivers/pci/pci.c, kernels 5.15 to 6.12.
absl::Status CheckResetMethod(const pci::Device& device) {
  if (!device.reset_methods) {
    return absl::FailedPreconditionError(
        "its reset_method cannot be read; this needs kernel 5.15 or newer");
  }
  const std::string_view methods = *device.reset_methods;
  if (methods.substr(0, methods.find(' ')) == "flr") return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "it would not be reset by its function-level reset first (reset_method is '{}'); "
               "write 'flr' to {}",
               methods, device.SysfsPath("reset_method"));
}

bool HeldByDriver(const pci::Device& device) { return device.driver && !device.BoundToVfio(); }

absl::Status AdmitDevice(const Observation& seen, Mode mode, const Policy& policy) {
  using absl::StatusCode;
  const pci::Device& device = seen.device;
  GPUHOST_TRY(CanReach(seen, mode));
  if (!seen.state.ok() && !IsTransient(seen.state.status())) return seen.state.status();
  if (HeldByDriver(device)) {
    return Error(StatusCode::kFailedPrecondition,
                 "held by driver {}; bind it to vfio-pci first (vfio-manage bind)", *device.driver);
  }
  if (!seen.in_use_by.empty() && !policy.force) {
    return Error(StatusCode::kFailedPrecondition, "in use by {}; end that first", seen.in_use_by);
  }
  const bool there = seen.state.ok() && *seen.state == StateOf(mode, seen.chip->architecture);
  if (gpu::HangsInReset(device) && !there) {
    return absl::FailedPreconditionError(
        "the function-level reset of this board never ends; it can only stay in its mode");
  }
  return CheckResetMethod(device);
}

}  // namespace

std::span<const KnobStep> KnobsOf(Mode mode, gpu::Architecture architecture) {
  switch (architecture) {
    case gpu::Architecture::kHopper:
      return HopperKnobs(mode);
    case gpu::Architecture::kBlackwell:
      return BlackwellKnobs(mode);
    case gpu::Architecture::kNvSwitch:
      if (mode == Mode::kPpcie) return kSwitchPpcieKnobs;
      return kSwitchOffKnobs;
    case gpu::Architecture::kBeforeHopper:
      return {};
  }
  return {};
}

State PendingState(const std::map<gpu::Knob, uint16_t>& knobs) {
  const auto is_set = [&](gpu::Knob knob) {
    const auto found = knobs.find(knob);
    return found != knobs.end() && found->second != 0;
  };
  if (is_set(kPpcie)) return State::kPpcie;
  if (is_set(kCcMode)) return is_set(kCcDevtools) ? State::kDevtools : State::kOn;
  return is_set(kCcDevtools) ? State::kInvalid : State::kOff;
}

bool TakesPart(const Observation& observation, Mode mode) {
  if (observation.chip == nullptr || observation.chip->layout == nullptr) {
    const bool is_switch = observation.device.kind() == pci::Kind::kNvSwitch;
    return is_switch ? mode == Mode::kPpcie : mode != Mode::kOff;
  }
  const bool there =
      observation.state.ok() && *observation.state == StateOf(mode, observation.chip->architecture);
  return !there || (observation.in_use_by.empty() && !HeldByDriver(observation.device));
}

absl::Status Admit(std::span<const Observation> observations, Mode mode, const Policy& policy) {
  const bool any_gpu = std::ranges::any_of(
      observations, [](const Observation& seen) { return seen.device.kind() == pci::Kind::kGpu; });
  if (!any_gpu) return absl::NotFoundError("no NVIDIA GPU on this machine");
  std::string text;
  absl::StatusCode code = absl::StatusCode::kOk;
  for (const Observation& seen : observations) {
    if (!TakesPart(seen, mode)) continue;
    const absl::Status status = AdmitDevice(seen, mode, policy);
    if (status.ok()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", seen.device.bdf, Text(status));
    if (code == absl::StatusCode::kOk) code = status.code();
  }
  return absl::Status(code, text);
}

DevicePlan PlanDevice(const pci::Bdf& bdf, gpu::Architecture architecture, State effective,
                      Mode mode) {
  const auto knobs = KnobsOf(mode, architecture);
  const State expected = StateOf(mode, architecture);
  return DevicePlan{.bdf = bdf,
                    .knobs = std::vector<KnobStep>(knobs.begin(), knobs.end()),
                    .reset = effective != expected,
                    .expected = expected};
}

std::string ToString(const DevicePlan& plan) {
  std::string text = fmt::format("{}:", plan.bdf);
  for (const KnobStep& step : plan.knobs) {
    text += fmt::format(" {}={}", gpu::KnobName(step.knob), step.value);
  }
  return text +
         fmt::format(", {}expect {}", plan.reset ? "then reset, " : "", ToString(plan.expected));
}

}  // namespace gpuhost::cc
