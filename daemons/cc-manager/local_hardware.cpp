// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/local_hardware.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "daemons/cc-manager/device_users.h"
#include "daemons/cc-manager/flight.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/knobs.h"
#include "libgpuhost/gpu/session.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::cc_manager {
namespace {

// Nobody else talks to its firmware, and it has one that answers.
bool MayAsk(const cc::Observation& seen) {
  const bool held = seen.device.driver && !seen.device.BoundToVfio();
  const bool operated = seen.chip != nullptr && seen.chip->layout != nullptr;
  return operated && seen.in_use_by.empty() && !held &&
         (seen.state.ok() || cc::IsTransient(seen.state.status()));
}

// What the next reset brings, and whether the firmware lets its knobs be set for `mode`, all as a
// change would ask for it. OK, or why the device cannot be changed now.
absl::Status AskFirmware(const gpu::Host& host, const cc::Observation& seen, cc::Mode mode,
                         DeviceView& view) {
  const auto ask = [&]() -> absl::Status {
    GPUHOST_ASSIGN(const auto session, gpu::Session::Open(host, seen.device));
    GPUHOST_ASSIGN(view.pending, cc::ReadPending(session->firmware()));
    return cc::PrepareKnobs(session->firmware(), cc::KnobsOf(mode, seen.chip->architecture))
        .status();
  };
  const absl::Status answer = ask();
  if (!view.pending) view.error = Text(answer);
  return answer;
}

// Whether nobody can talk to the firmware, which a change heals by a reset, see gpu::Session.
bool IsSilent(const absl::Status& error) {
  return absl::IsDeadlineExceeded(error) || absl::IsDataLoss(error);
}

bool HasModes(const cc::Observation& seen) {
  return seen.chip != nullptr && seen.chip->layout != nullptr;
}

// One without modes is settled where it need not have any.
bool IsSettled(const cc::Observation& seen, const DeviceView& view, cc::Mode mode) {
  if (!HasModes(seen)) return !cc::TakesPart(seen, mode);
  return view.state == cc::StateOf(mode, seen.chip->architecture) &&
         (!view.pending || view.pending == view.state);
}

// Nobody has seen its mode since it is in use, which is no reason to change it.
bool IsHidden(const DeviceView& view) { return !view.state && !view.in_use_by.empty(); }

// "0000:41:00.0: why" for each, with the code of the first; OK when there are none.
absl::Status Together(const std::vector<DeviceView>& devices,
                      const std::vector<absl::Status>& errors) {
  std::string text;
  absl::StatusCode code = absl::StatusCode::kOk;
  for (size_t i = 0; i < devices.size(); ++i) {
    if (errors[i].ok()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", devices[i].bdf, Text(errors[i]));
    if (code == absl::StatusCode::kOk) code = errors[i].code();
  }
  return absl::Status(code, text);
}

// Brings what the next reset brings back to what the device is in. OK also when nothing is armed;
// `written`: something was.
absl::Status DisarmIdle(const gpu::Host& host, const cc::Observation& seen, bool& written) {
  const auto mode = cc::ParseMode(cc::ToString(*seen.state));
  if (!mode.ok()) return absl::OkStatus();  // only another mode heals it
  DeviceView asked;
  AskFirmware(host, seen, *mode, asked).IgnoreError();
  // A change would reset one that is silent, and so make effective what is armed.
  if (!asked.pending || *asked.pending == *seen.state) return absl::OkStatus();
  written = true;
  cc::Change change(host, std::span(&seen, 1), *mode);
  GPUHOST_TRY(change.Open());
  GPUHOST_TRY(change.Arm());
  return change.ResetAndVerify();  // without a reset: it is in the mode
}

}  // namespace

absl::StatusOr<std::vector<cc::Observation>> ObserveNode(const gpu::Host& host) {
  GPUHOST_ASSIGN(std::vector<pci::Device> devices, pci::ScanNvidia(host.fs));
  std::erase_if(devices, [](const pci::Device& device) {
    return device.kind() == pci::Kind::kCompanion || device.is_virtual_function;
  });
  std::vector<cc::Observation> seen(devices.size());
  InParallel(devices.size(), [&](size_t i) { seen[i] = cc::Observe(host, devices[i]); });
  LookForUsers(host.fs, seen);
  return seen;
}

LocalHardware::LocalHardware(const gpu::Host& host, const cc::Policy& policy, vfio::Hold hold)
    : host_(host), policy_(policy), hold_(std::move(hold)) {
  const auto earlier = service::ReadStatusDocument(host.fs, "cc-manager");
  if (!earlier.ok()) return;
  for (const service::DeviceStatus& device : earlier->devices) {
    const auto bdf = pci::Bdf::Parse(device.bdf);
    const auto mode = cc::ParseMode(device.pending.empty() ? device.state : device.pending);
    if (bdf.ok() && mode.ok()) last_[*bdf] = cc::StateOf(*mode);
  }
}

absl::StatusOr<LocalHardware::Observations> LocalHardware::Observe() {
  GPUHOST_ASSIGN(Observations seen, ObserveNode(host_));
  std::map<pci::Bdf, cc::State> last;
  for (const cc::Observation& one : seen) {
    const pci::Bdf& bdf = one.device.bdf;
    if (one.state.ok()) {
      last[bdf] = *one.state;
    } else if (cc::IsTransient(one.state.status()) && last_.contains(bdf)) {
      last[bdf] = last_[bdf];
    }
  }
  last_ = std::move(last);
  return seen;
}

absl::StatusOr<Survey> LocalHardware::Query(cc::Mode mode, bool ask_firmware) {
  const auto seen = Observe();
  if (!seen.ok()) return Survey{.admission = seen.status()};
  Survey survey{.admission = cc::Admit(*seen, mode, {})};
  survey.busy = !survey.admission.ok() && cc::Admit(*seen, mode, {.force = true}).ok();
  for (const cc::Observation& one : *seen) {
    DeviceView view{.bdf = one.device.bdf, .in_use_by = one.in_use_by};
    if (const auto last = last_.find(view.bdf); last != last_.end()) {
      view.state = last->second;
    } else {
      view.error = Text(one.state.status());
      if (one.chip != nullptr && !HasModes(one)) view.state = cc::State::kOff;
    }
    survey.devices.push_back(std::move(view));
  }
  if (change_ != nullptr) {  // which holds the devices
    for (const cc::DeviceResult& result : change_->outcome().devices) {
      const auto view = std::ranges::find(survey.devices, result.bdf, &DeviceView::bdf);
      if (view != survey.devices.end()) view->pending = result.pending;
    }
  }
  std::vector<absl::Status> refusals(seen->size());
  if (ask_firmware && change_ == nullptr) {
    InParallel(seen->size(), [&](size_t i) {
      if (MayAsk((*seen)[i])) {
        refusals[i] = AskFirmware(host_, (*seen)[i], mode, survey.devices[i]);
      }
    });
    ForgiveSilence(survey.devices, refusals);
  }
  survey.settled = !absl::IsNotFound(survey.admission);
  for (size_t i = 0; i < seen->size(); ++i) {
    DeviceView& view = survey.devices[i];
    view.settled = IsSettled((*seen)[i], view, mode);
    survey.settled = survey.settled && (view.settled || IsHidden(view));
    if (!cc::TakesPart((*seen)[i], mode)) refusals[i] = absl::OkStatus();
  }
  const absl::Status refused = Together(survey.devices, refusals);
  if (!survey.settled && !refused.ok() && (survey.admission.ok() || survey.busy)) {
    survey.admission = refused;
    survey.busy = false;
  }
  return survey;
}

// One that is silent is no reason against a change, for the change heals it if that can be done;
// one that has been silent in a change, too, is, until it answers.
void LocalHardware::ForgiveSilence(std::span<const DeviceView> devices,
                                   std::span<absl::Status> refusals) {
  for (size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].pending) incurable_.erase(devices[i].bdf);
    const bool curable = !devices[i].pending && !incurable_.contains(devices[i].bdf);
    if (curable && IsSilent(refusals[i])) refusals[i] = absl::OkStatus();
  }
}

absl::StatusOr<Progress> LocalHardware::Arm(cc::Mode mode) {
  if (change_ != nullptr) {
    return Progress{.status = absl::FailedPreconditionError(
                        "a change is armed already; end it by disarm or reset")};
  }
  auto seen = Observe();
  if (!seen.ok()) return Progress{.status = seen.status(), .written = false};
  seen_ = *std::move(seen);
  mode_ = mode;
  absl::Status admitted = cc::Admit(seen_, mode, policy_);
  if (admitted.ok()) admitted = Hold(mode);
  if (admitted.ok()) admitted = CountArm(mode);
  if (!admitted.ok()) {
    hold_.Release();
    return Refusal(std::move(admitted));
  }
  change_ = std::make_unique<cc::Change>(host_, seen_, mode);
  const bool opened = change_->Open().ok();
  if (!opened) {
    for (const cc::DeviceResult& result : change_->outcome().devices) {
      if (IsSilent(result.status)) incurable_.insert(result.bdf);
    }
  }
  const bool armed = opened && change_->Arm().ok();
  Progress progress = armed ? ProgressOf(change_->outcome()) : Finish();
  progress.written = opened;
  return progress;
}

Progress LocalHardware::Refusal(absl::Status why) const {
  Progress progress{.status = std::move(why), .written = false};
  for (const cc::Observation& one : seen_) {
    const auto state = one.state.ok() ? std::optional(*one.state) : std::nullopt;
    progress.devices.push_back({.bdf = one.device.bdf,
                                .state = state,
                                .error = Text(one.state.status()),
                                .in_use_by = one.in_use_by});
    progress.devices.back().settled = IsSettled(one, progress.devices.back(), mode_);
  }
  return progress;
}

// Looks whether nobody has them once more: by then nobody new can have come.
absl::Status LocalHardware::Hold(cc::Mode mode) {
  std::vector<pci::Bdf> taken;
  for (const cc::Observation& one : seen_) {
    if (cc::TakesPart(one, mode) && !TryHold(one.device)) taken.push_back(one.device.bdf);
  }
  if (policy_.force) return absl::OkStatus();
  LookForUsers(host_.fs, seen_);
  NameUsers(taken);
  return cc::Admit(seen_, mode, policy_);
}

bool LocalHardware::TryHold(const pci::Device& device) {
  if (!device.BoundToVfio()) return true;  // nobody can be given it as it is
  const absl::Status held = hold_.Take(host_.fs, device);
  if (held.ok() || absl::IsFailedPrecondition(held)) return held.ok();
  service::Log(service::Level::kWarning,
               "device not kept from virtual machines that start during the change, going on by "
               "looking twice; this needs /dev/vfio of the host",
               {{"bdf", device.bdf.ToString()}, {"error", held}});
  return true;
}

// A group of theirs is open already, and if no process is seen that has it, it is hidden.
void LocalHardware::NameUsers(std::span<const pci::Bdf> taken) {
  for (cc::Observation& one : seen_) {
    const bool unnamed = one.in_use_by.empty() && std::ranges::count(taken, one.device.bdf) > 0;
    if (unnamed) one.in_use_by = kHiddenUser;
  }
}

absl::Status LocalHardware::CountArm(cc::Mode mode) {
  std::vector<pci::Bdf> devices;
  for (const cc::Observation& one : seen_) {
    if (cc::TakesPart(one, mode)) devices.push_back(one.device.bdf);
  }
  return arm_limit_.Count(host_.clock.Now(), devices);
}

absl::StatusOr<Progress> LocalHardware::Disarm() {
  if (change_ == nullptr) return DisarmAllIdle();
  change_->Disarm("not switched: the change was given up").IgnoreError();
  return Finish();
}

absl::StatusOr<Progress> LocalHardware::DisarmAllIdle() {
  auto seen = Observe();
  if (!seen.ok()) return Progress{.status = seen.status()};
  seen_ = *std::move(seen);
  Progress progress;
  for (const cc::Observation& one : seen_) {
    progress.devices.push_back({.bdf = one.device.bdf, .in_use_by = one.in_use_by});
    if (one.state.ok()) progress.devices.back().state = *one.state;
  }
  std::vector<absl::Status> errors(seen_.size());
  std::vector<char> ours(seen_.size());
  for (size_t i = 0; i < seen_.size(); ++i) {
    ours[i] = MayAsk(seen_[i]) && seen_[i].state.ok() && TryHold(seen_[i].device);
  }
  std::atomic<bool> any = false;
  InParallel(seen_.size(), [&](size_t i) {
    if (ours[i] == 0) return;
    bool written = false;
    errors[i] = DisarmIdle(host_, seen_[i], written);
    if (written && errors[i].ok()) progress.devices[i].pending = *seen_[i].state;
    if (written) any = true;
    progress.devices[i].error = Text(errors[i]);
  });
  hold_.Release();
  progress.status = Together(progress.devices, errors);
  if (!any && progress.status.ok()) {
    progress.status = absl::FailedPreconditionError("nothing is armed");
  }
  return progress;
}

absl::StatusOr<Progress> LocalHardware::Reset() {
  if (change_ == nullptr) {
    return Progress{.status = absl::FailedPreconditionError("nothing is armed")};
  }
  if (const absl::Status grabbed = Grabbed(); !grabbed.ok()) {
    change_->Disarm("not switched: a GPU is in use").IgnoreError();
    Progress progress = Finish();
    progress.status = grabbed;
    return progress;
  }
  change_->ResetAndVerify().IgnoreError();
  return Finish();
}

// Whether somebody has taken a device since it was admitted that is to be reset. Those on a VFIO
// driver are held, and what has come to one since is held now.
absl::Status LocalHardware::Grabbed() {
  if (policy_.force) return absl::OkStatus();
  LookForUsers(host_.fs, seen_);
  std::string text;
  for (const cc::DeviceResult& result : change_->outcome().devices) {
    if (!result.reset) continue;
    const auto now = pci::ReadDevice(host_.fs, result.bdf);
    if (now.ok() && !TryHold(*now)) NameUsers(std::array{result.bdf});
    const bool taken = now.ok() && now->driver && !now->BoundToVfio();
    const std::string& user = UserOf(result.bdf);
    if (user.empty() && !taken) continue;
    text += fmt::format("{}{}: {} since it was armed; end that first", text.empty() ? "" : "; ",
                        result.bdf, taken ? "held by driver " + *now->driver : "in use by " + user);
  }
  return text.empty() ? absl::OkStatus() : absl::FailedPreconditionError(text);
}

const cc::Observation* LocalHardware::SeenOf(const pci::Bdf& bdf) const {
  const auto one = std::ranges::find(
      seen_, bdf, [](const cc::Observation& observation) { return observation.device.bdf; });
  return one == seen_.end() ? nullptr : &*one;
}

const std::string& LocalHardware::UserOf(const pci::Bdf& bdf) const {
  static const std::string kNobody;
  const cc::Observation* one = SeenOf(bdf);
  return one == nullptr ? kNobody : one->in_use_by;
}

Progress LocalHardware::ProgressOf(const cc::Outcome& outcome) const {
  Progress progress{.status = outcome.status,
                    .open = outcome.timing.open,
                    .arm = outcome.timing.arm,
                    .reset = outcome.timing.reset};
  const bool under_way = change_ != nullptr;
  for (const cc::DeviceResult& result : outcome.devices) {
    progress.devices.push_back({.bdf = result.bdf,
                                .state = under_way ? result.before : result.after,
                                .pending = result.pending,
                                .error = Text(result.status),
                                .in_use_by = UserOf(result.bdf),
                                .reset = result.reset && !under_way});
    DeviceView& view = progress.devices.back();
    if (const cc::Observation* seen = SeenOf(result.bdf)) {
      view.settled = IsSettled(*seen, view, mode_);
    }
  }
  return progress;
}

Progress LocalHardware::Finish() {
  const cc::Outcome outcome = change_->outcome();
  change_.reset();  // lets go of the devices
  if (!outcome.status.ok()) RecordFlight(host_, seen_, outcome);
  hold_.Release();
  for (const cc::DeviceResult& result : outcome.devices) {
    last_.erase(result.bdf);
    if (result.after) last_[result.bdf] = *result.after;
  }
  return ProgressOf(outcome);
}

}  // namespace gpuhost::cc_manager
