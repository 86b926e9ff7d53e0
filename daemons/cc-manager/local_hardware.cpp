// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/local_hardware.h"

#include <algorithm>
#include <array>

#include "daemons/cc-manager/flight.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/knobs.h"
#include "libgpuhost/gpu/session.h"
#include "libgpuhost/pci/config_space.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::cc_manager {
namespace {

constexpr std::string_view kHidden = "a process that cannot be seen from here";

// Whether a device on vfio-pci works for somebody, although no process is seen that has it open:
// those of other containers are hidden where /proc is not the host's. Where the kernel does not
// tell (see vfio::IsEnabled), bus mastering does: VFIO lets a device be bus master only while it is
// open, but firmware may have left it so before, and then nobody is a user for ever.
std::string HiddenUser(HostFs& fs, const pci::Device& device) {
  if (!device.BoundToVfio()) return "";
  if (const auto enabled = vfio::IsEnabled(fs, device); enabled.ok()) {
    return std::string(*enabled ? kHidden : "");
  }
  if (device.power_state && *device.power_state != "D0") return "";
  const auto command = pci::ConfigSpace(fs, device.bdf).Read16(pci::kCommand);
  const bool master = command.ok() && *command != 0xffff && (*command & pci::kCommandMaster) != 0;
  return master
             ? "an unknown process, for it is bus master and its attribute enable cannot be read "
               "(if nobody uses it, unbind it and bind it again)"
             : "";
}

// Fills in who has each of the devices open, but for this process, which may hold them for a
// change.
void LookForUsers(HostFs& fs, std::span<cc::Observation> seen) {
  std::vector<pci::Device> devices;
  for (const cc::Observation& one : seen) devices.push_back(one.device);
  auto holders = vfio::FindHolders(fs, devices).by_device;
  // Our number where that /proc counts: it may be the host's, and this a container.
  const auto self = ParseDecimal(fs.LinkName("/proc/self").value_or(""), INT32_MAX);
  for (cc::Observation& one : seen) {
    auto& users = holders[one.device.bdf];
    std::erase_if(users, [&](const vfio::Holder& holder) {
      return self && holder.pid == static_cast<int>(*self);
    });
    one.in_use_by = users.empty() ? HiddenUser(fs, one.device) : vfio::ToString(users);
  }
}

// Nobody else talks to its firmware, and it has one that answers.
bool MayAsk(const cc::Observation& seen) {
  const bool held = seen.device.driver && !seen.device.BoundToVfio();
  const bool operated = seen.chip != nullptr && seen.chip->layout != nullptr;
  return operated && seen.in_use_by.empty() && !held &&
         (seen.state.ok() || cc::IsTransient(seen.state.status()));
}

void AskFirmware(const gpu::Host& host, const cc::Observation& seen, DeviceView& view) {
  const auto ask = [&]() -> absl::StatusOr<cc::State> {
    GPUHOST_ASSIGN(const auto session, gpu::Session::Open(host, seen.device));
    return cc::ReadPending(session->firmware());
  };
  if (const auto pending = ask(); pending.ok()) {
    view.pending = *pending;
  } else {
    view.error = Text(pending.status());
  }
}

// One without modes is settled where it need not have any.
bool IsSettled(const cc::Observation& seen, const DeviceView& view, cc::Mode mode) {
  if (seen.chip == nullptr || seen.chip->layout == nullptr) return !cc::TakesPart(seen, mode);
  return view.state == cc::StateOf(mode, seen.chip->architecture) &&
         (!view.pending || view.pending == view.state);
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
    }
    survey.devices.push_back(std::move(view));
  }
  if (change_ != nullptr) {  // which holds the devices
    for (const cc::DeviceResult& result : change_->outcome().devices) {
      const auto view = std::ranges::find(survey.devices, result.bdf, &DeviceView::bdf);
      if (view != survey.devices.end()) view->pending = result.pending;
    }
  } else if (ask_firmware) {
    InParallel(seen->size(), [&](size_t i) {
      if (MayAsk((*seen)[i])) AskFirmware(host_, (*seen)[i], survey.devices[i]);
    });
  }
  survey.settled = !absl::IsNotFound(survey.admission);
  for (size_t i = 0; i < seen->size(); ++i) {
    survey.devices[i].settled = IsSettled((*seen)[i], survey.devices[i], mode);
    survey.settled = survey.settled && survey.devices[i].settled;
  }
  return survey;
}

absl::StatusOr<Progress> LocalHardware::Arm(cc::Mode mode) {
  if (change_ != nullptr) {
    return Progress{.status = absl::FailedPreconditionError(
                        "a change is armed already; end it by disarm or reset")};
  }
  auto seen = Observe();
  if (!seen.ok()) return Progress{.status = seen.status()};
  seen_ = *std::move(seen);
  absl::Status admitted = cc::Admit(seen_, mode, policy_);
  if (admitted.ok()) admitted = Hold(mode);
  if (admitted.ok()) admitted = CountArm(mode);
  if (!admitted.ok()) {
    hold_.Release();
    return Refusal(std::move(admitted));
  }
  change_ = std::make_unique<cc::Change>(host_, seen_, mode);
  const bool armed = change_->Open().ok() && change_->Arm().ok();
  return armed ? ProgressOf(change_->outcome()) : Finish();
}

Progress LocalHardware::Refusal(absl::Status why) const {
  Progress progress{.status = std::move(why)};
  for (const cc::Observation& one : seen_) {
    const auto state = one.state.ok() ? std::optional(*one.state) : std::nullopt;
    progress.devices.push_back({.bdf = one.device.bdf,
                                .state = state,
                                .error = Text(one.state.status()),
                                .in_use_by = one.in_use_by});
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
    if (unnamed) one.in_use_by = kHidden;
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
  if (change_ == nullptr) {
    return Progress{.status = absl::FailedPreconditionError("nothing is armed")};
  }
  change_->Disarm("not switched: the change was given up").IgnoreError();
  return Finish();
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

const std::string& LocalHardware::UserOf(const pci::Bdf& bdf) const {
  static const std::string kNobody;
  const auto one = std::ranges::find(
      seen_, bdf, [](const cc::Observation& observation) { return observation.device.bdf; });
  return one == seen_.end() ? kNobody : one->in_use_by;
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
