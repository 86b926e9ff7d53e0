// SPDX-License-Identifier: Apache-2.0
//
// How a Manager looks at its node: what is known, what is only believed, and what must be asked.
#include <algorithm>

#include "daemons/cc-manager/manager.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/host.h"

namespace gpuhost::cc_manager {
namespace {

constexpr int kAskEvery = 12;  // looks; once an hour when all is well

bool IsHidden(const DeviceView& device) { return !device.state && !device.in_use_by.empty(); }

// Its firmware has been asked and has not answered.
bool IsSilent(const DeviceView& device) {
  return !device.pending && !device.error.empty() && device.in_use_by.empty();
}

bool IsArmed(const DeviceView& device) {
  return device.state && device.pending && device.pending != device.state;
}

// What makes a look differ from another one for a change that has failed.
std::string Summary(const Survey& survey) {
  std::string text = Text(survey.admission);
  for (const DeviceView& device : survey.devices) {
    text += fmt::format(";{}={}", device.bdf, device.state ? cc::ToString(*device.state) : "");
  }
  return text;
}

}  // namespace

bool Manager::HasWork(const Result& last, bool devices_changed) {
  const auto wanted = world_.wanted();
  if (!wanted.ok()) return wanted.status() != last.status;
  if (wanted.value() != last.mode) return true;
  if (!devices_changed) return false;
  auto survey = world_.hardware.Query(*wanted, false);
  if (!survey.ok()) return true;
  if (last.status.ok()) {
    BelieveLabel(*wanted, *survey);
    return !survey->settled;
  }
  // Drivers come and go with every operand that is called back: no reason to try again at once.
  return Summary(*survey) != last_look_;
}

// The firmware is asked before anything is begun, for a refusal is to disturb nobody; and now and
// then what is armed, for others may arm devices, too.
absl::StatusOr<Survey> Manager::Look(cc::Mode mode) {
  GPUHOST_ASSIGN(Survey survey, world_.hardware.Query(mode, false));
  last_look_ = Summary(survey);
  BelieveLabel(mode, survey);
  if (!MustAsk(survey)) return survey;
  GPUHOST_ASSIGN(survey, world_.hardware.Query(mode, true));
  BelieveLabel(mode, survey);
  // Whose firmware does not answer may be armed: it is asked again next time.
  ask_ = std::ranges::any_of(survey.devices, [&](const DeviceView& device) {
    return !device.pending && device.in_use_by.empty() && unusable_.marks().contains(device.bdf);
  });
  looks_since_asked_ = 0;
  return survey;
}

bool Manager::MustAsk(const Survey& survey) {
  std::set<pci::Bdf> used;
  for (const DeviceView& device : survey.devices) {
    if (!device.in_use_by.empty()) used.insert(device.bdf);
  }
  const bool somebody_left = !std::ranges::includes(used, used_);
  used_ = std::move(used);
  return ask_ || somebody_left || !survey.settled || ++looks_since_asked_ >= kAskEvery;
}

// Devices that have been in use since before this process began are in no mode that it has seen.
// The label says what they were in when they were seen last. Without it, a pass that is to say how
// it ended takes them for devices that are not in the mode.
void Manager::BelieveLabel(cc::Mode mode, Survey& survey) {
  if (std::ranges::none_of(survey.devices, IsHidden)) return;
  bool unseen = false;
  LearnLabel();
  if (believed_ && *believed_ != mode) survey.settled = false;
  for (DeviceView& device : survey.devices) {
    if (!IsHidden(device)) continue;
    device.settled = device.settled || (survey.settled && believed_ == mode);
    if (!device.settled && !settings_.patient) unseen = true;
  }
  if (unseen) survey.settled = false;
}

void Manager::LearnLabel() {
  if (looked_at_label_ || world_.node == nullptr) return;
  const auto node = world_.node->Seen();
  if (!node.ok()) return;
  looked_at_label_ = true;
  believed_ = ShownMode(node->labels, settings_.format);
}

// What is armed would be switched by whoever resets a device next, whatever is wanted.
Manager::Result Manager::WithoutWish(const absl::Status& why) {
  auto survey = world_.hardware.Query(cc::Mode::kOff, ask_);
  if (!survey.ok()) return Gone(survey.status());
  const bool asked = std::exchange(ask_, ask_ && std::ranges::any_of(survey->devices, IsSilent));
  const bool armed = std::ranges::any_of(survey->devices, IsArmed);
  if (armed) {
    const auto disarmed = world_.hardware.Disarm();
    if (!disarmed.ok()) return Gone(disarmed.status());
    ask_ = !disarmed->status.ok();
    survey = world_.hardware.Query(cc::Mode::kOff, true);
    if (!survey.ok()) return Gone(survey.status());
  }
  if (absl::IsInvalidArgument(why)) {
    const bool ask = ask_;
    Result result = Fail(std::nullopt, why, std::move(survey->devices));
    ask_ = ask;  // nothing has been tried
    return result;
  }
  if (armed || (asked && !unusable_.marks().empty())) {
    stand_.devices = std::move(survey->devices);
    if (!InChange(stand_)) stand_.mode.reset();
    Enter(InChange(stand_) ? stand_.phase : Phase::kFailed, Text(why)).IgnoreError();
  }
  return {.status = why};
}

void Manager::LookWhetherCapable() {
  if (!settings_.label_capable) return;
  const auto on = world_.hardware.Query(cc::Mode::kOn, false);
  if (!on.ok()) return;
  const bool never = absl::IsUnimplemented(on->admission) || absl::IsNotFound(on->admission);
  stand_.capable = !never && cc::FindTee(world_.fs) != cc::Tee::kNone;
}

}  // namespace gpuhost::cc_manager
