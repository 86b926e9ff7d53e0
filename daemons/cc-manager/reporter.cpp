// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/reporter.h"

#include <algorithm>
#include <ctime>

#include "daemons/cc-manager/operands.h"
#include "daemons/common/service/history.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using service::Level;
using Type = service::Metrics::Type;
using enum kube::NodeNotice::Type;

constexpr const char* kTransitions = "gpuhost_cc_transitions_total";
constexpr const char* kPhaseSeconds = "gpuhost_cc_transition_seconds";
constexpr const char* kDeviceMode = "gpuhost_cc_device_mode";
constexpr const char* kArmed = "gpuhost_cc_device_armed";
constexpr const char* kPhase = "gpuhost_cc_phase";
constexpr const char* kInUse = "gpuhost_cc_devices_in_use";
constexpr const char* kWatchRestarts = "gpuhost_cc_watch_restarts_total";
constexpr const char* kLastSuccess = "gpuhost_cc_last_success_timestamp_seconds";

std::string NameOf(const std::optional<cc::State>& state) {
  return state ? std::string(cc::ToString(*state)) : "";
}

std::string NameOf(const std::optional<cc::Mode>& mode) {
  return mode ? std::string(cc::ToString(*mode)) : "unknown";
}

// The mode that a device may already have been given in that phase.
std::string PendingOf(const Stand& stand, const DeviceView& device) {
  return stand.phase == Phase::kArming ? NameOf(stand.mode) : NameOf(device.pending);
}

// While others are waited for, a device that is in the mode already may be used.
bool IsWithdrawn(const Stand& stand, const DeviceView& device) {
  const bool writing = stand.phase == Phase::kArming || stand.phase == Phase::kResetting;
  return writing || (InChange(stand) && !device.settled);
}

service::StatusDocument ToDocument(const Stand& stand) {
  service::StatusDocument document{.daemon = "cc-manager",
                                   .phase = std::string(ToString(stand.phase)),
                                   .target = stand.mode ? NameOf(stand.mode) : "",
                                   .transition = stand.transition,
                                   .reason = stand.reason};
  for (const DeviceView& device : stand.devices) {
    document.devices.push_back({.bdf = device.bdf.ToString(),
                                .state = NameOf(device.state),
                                .pending = PendingOf(stand, device),
                                .error = device.error,
                                .withdraw = IsWithdrawn(stand, device)});
  }
  for (const auto& [bdf, why] : stand.unusable) {
    const std::string name = bdf.ToString();
    const auto device = std::ranges::find(document.devices, name, &service::DeviceStatus::bdf);
    if (device != document.devices.end()) {
      device->unusable = why;
    } else {
      document.devices.push_back({.bdf = name, .unusable = why});
    }
  }
  return document;
}

// Where a device was before the change that has just ended.
std::optional<cc::State> StateBefore(const Stand& stand, const pci::Bdf& bdf) {
  const auto device = std::ranges::find(stand.devices, bdf, &DeviceView::bdf);
  return device == stand.devices.end() ? std::nullopt : device->state;
}

// What systemctl status shows.
std::string StatusLine(const Stand& stand) {
  if (stand.phase == Phase::kSteady && stand.no_gpus) return "no GPU";
  if (stand.phase == Phase::kSteady) return fmt::format("all GPUs {}", NameOf(stand.mode));
  return fmt::format("{}: {}{}{}", NameOf(stand.mode), ToString(stand.phase),
                     stand.reason.empty() ? "" : ": ", stand.reason);
}

}  // namespace

Reporter::Reporter(HostFs& fs, Clock& clock, OurNode* node, service::Metrics& metrics,
                   const Settings& settings)
    : fs_(fs), clock_(clock), node_(node), metrics_(metrics), settings_(settings) {
  metrics_.Describe(kTransitions, Type::kCounter, "Mode changes by former mode, mode and result.");
  metrics_.Describe(kPhaseSeconds, Type::kGauge, "Duration of the last mode change, by phase.");
  metrics_.Describe(kDeviceMode, Type::kGauge, "1 for the mode that a device is in.");
  metrics_.Describe(kArmed, Type::kGauge, "1 for a device whose next reset brings another mode.");
  metrics_.Describe(kPhase, Type::kGauge, "1 for the phase that cc-manager is in.");
  metrics_.Describe(kInUse, Type::kGauge, "Devices that some process has open.");
  metrics_.Describe(kWatchRestarts, Type::kCounter, "How often the watch of the node broke.");
  metrics_.Describe(kLastSuccess, Type::kGauge, "When all devices were last seen in the mode.");
}

absl::Status Reporter::Announce(const Stand& stand) {
  absl::Status published = Publish(stand);
  KeepReadinessFile(stand);
  Measure(stand);
  // It is up also while it waits, which may take days; not yet while it writes to devices.
  const bool up = !InChange(stand) || stand.phase == Phase::kWaiting;
  const std::string line = StatusLine(stand);
  service::Notify({.ready = up, .status = line});
  if (stand.phase != told_.phase || stand.reason != told_.reason || stand.mode != told_.mode) {
    LogNews(stand);
  }
  told_ = stand;
  return published;
}

absl::Status Reporter::Publish(const Stand& stand) {
  absl::Status published = service::Publish(fs_, ToDocument(stand));
  if (!published.ok() && published != published_) {
    service::Log(Level::kWarning, "status not published", {{"error", published}});
  }
  published_ = published;
  return published;
}

void Reporter::KeepReadinessFile(const Stand& stand) {
  if (settings_.readiness_file.empty()) return;
  const bool done = stand.phase == Phase::kSteady ||
                    (stand.phase == Phase::kFailed && !settings_.readiness_strict);
  const std::string& path = settings_.readiness_file;
  absl::Status status =
      done ? fs_.MakeDirectories(path.substr(0, path.rfind('/'))) : fs_.Remove(path);
  if (done && status.ok() && !fs_.Exists(path)) status = fs_.WriteFileAtomic(path, "", 0644);
  if (!status.ok()) {
    service::Log(Level::kWarning, "readiness file not kept, ignoring", {{"error", status}});
  }
}

void Reporter::LogNews(const Stand& stand) {
  const auto say = [&](Level level, std::string_view text) {
    service::Log(
        level, text,
        {{"mode", NameOf(stand.mode)}, {"transition", stand.transition}, {"reason", stand.reason}});
  };
  switch (stand.phase) {
    case Phase::kStarting:
      return;
    case Phase::kWaiting:
      say(Level::kInfo, "change waits");
      if (node_ != nullptr) node_->Tell(kNormal, "CcModeWaiting", StatusLine(stand));
      return;
    case Phase::kWithdrawing:
    case Phase::kArming:
    case Phase::kResetting:
      return say(Level::kInfo, ToString(stand.phase));
    case Phase::kSteady:
      return say(Level::kInfo,
                 stand.no_gpus ? "no NVIDIA GPU on this machine" : "all GPUs are in the mode");
    case Phase::kFailed:
      say(Level::kError, stand.reset ? "mode not reached" : "nothing changed");
      if (node_ != nullptr) node_->Tell(kWarning, "CcModeFailed", StatusLine(stand));
      return;
  }
}

void Reporter::CountChange(const Stand& stand, const Progress& progress, double seconds) {
  const std::string mode = NameOf(stand.mode);
  const std::string from = stand.devices.empty() ? "" : NameOf(stand.devices.front().state);
  for (const DeviceView& device : progress.devices) {
    service::Log(device.error.empty() ? Level::kInfo : Level::kError,
                 !device.error.empty() ? "not switched"
                 : device.reset        ? "switched"
                                       : "already in this mode",
                 {{"bdf", device.bdf},
                  {"from", NameOf(StateBefore(stand, device.bdf))},
                  {"to", NameOf(device.state)},
                  {"transition", stand.transition},
                  {"error", device.error}});
  }
  const bool done = progress.status.ok();
  const absl::Status remembered =
      service::Remember(fs_, {.ended = std::time(nullptr),
                              .transition = stand.transition,
                              .from = from,
                              .to = mode,
                              .error = done ? "" : Text(progress.status),
                              .devices = progress.devices.size(),
                              .total = seconds,
                              .open = Seconds(progress.open),
                              .arm = Seconds(progress.arm),
                              .reset = Seconds(progress.reset)});
  if (!remembered.ok()) {
    service::Log(Level::kWarning, "change not recorded, ignoring", {{"error", remembered}});
  }
  metrics_.Add(kTransitions, {{"from", from}, {"to", mode}, {"result", done ? "done" : "failed"}});
  metrics_.Set(kPhaseSeconds, {{"phase", "open"}}, Seconds(progress.open));
  metrics_.Set(kPhaseSeconds, {{"phase", "arm"}}, Seconds(progress.arm));
  metrics_.Set(kPhaseSeconds, {{"phase", "reset"}}, Seconds(progress.reset));
  metrics_.Set(kPhaseSeconds, {{"phase", "all"}}, seconds);
  if (!done) return;
  // Administrators search their logs for just these words.
  service::Log(Level::kInfo, fmt::format("Successfully set CC mode to '{}' on all GPUs", mode),
               {{"transition", stand.transition},
                {"devices", progress.devices.size()},
                {"seconds", fmt::format("{:.3f}", seconds)},
                {"open", fmt::format("{:.3f}", Seconds(progress.open))},
                {"arm", fmt::format("{:.3f}", Seconds(progress.arm))},
                {"reset", fmt::format("{:.3f}", Seconds(progress.reset))}});
  if (node_ != nullptr) {
    node_->Tell(kNormal, "CcModeChanged",
                fmt::format("all {} devices are in mode {} after {:.1f} s", progress.devices.size(),
                            mode, seconds));
  }
}

void Reporter::Measure(const Stand& stand) {
  metrics_.Clear(kDeviceMode);
  metrics_.Clear(kArmed);
  metrics_.Clear(kPhase);
  double in_use = 0;
  for (const DeviceView& device : stand.devices) {
    const std::string bdf = device.bdf.ToString();
    metrics_.Set(kDeviceMode,
                 {{"bdf", bdf}, {"mode", device.state ? NameOf(device.state) : "unknown"}}, 1);
    if (device.pending)
      metrics_.Set(kArmed, {{"bdf", bdf}}, device.pending != device.state ? 1 : 0);
    if (!device.in_use_by.empty()) ++in_use;
  }
  metrics_.Set(kInUse, {}, in_use);
  metrics_.Set(kPhase, {{"phase", std::string(ToString(stand.phase))}}, 1);
  if (node_ != nullptr) metrics_.Set(kWatchRestarts, {}, node_->watch_restarts());
  if (stand.phase == Phase::kSteady) {
    metrics_.Set(kLastSuccess, {}, static_cast<double>(std::time(nullptr)));
  }
}

// What is to be patched. `fresh`: the node as the API server has it now, and for that version
// alone.
absl::StatusOr<kube::Node> Reporter::ToPatch(const Stand& stand, bool fresh,
                                             kube::NodePatch& patch) {
  GPUHOST_ASSIGN(kube::Node seen, fresh ? node_->Now() : node_->Seen());
  patch = cc_manager::Show(stand, settings_.format, seen);
  if (!healed_) patch.labels.merge(RemoveEmptyPatch(seen.labels));
  if (fresh) patch.resource_version = seen.resource_version;
  return seen;
}

// Deploy labels are the administrator's, too: what is put into one is made of what it says now,
// and of nothing that was heard before, lest a change of theirs be undone.
absl::Status Reporter::PatchOnce(const Stand& stand, bool fresh, bool last_word) {
  kube::NodePatch patch;
  GPUHOST_TRY(ToPatch(stand, fresh, patch).status());
  if (patch.labels.empty() && patch.annotations.empty()) return absl::OkStatus();
  if (!fresh && TouchesOperands(patch.labels)) return PatchOnce(stand, true, last_word);
  if (!budget_.IsLeft(clock_.Now()) && !last_word) {
    return absl::ResourceExhaustedError(
        "the node has been patched often of late; somebody may take back what cc-manager writes");
  }
  GPUHOST_ASSIGN(const kube::Node after, node_->Patch(patch));
  budget_.Spend();
  const kube::NodePatch left = cc_manager::Show(stand, settings_.format, after);
  if (left.labels.empty() && left.annotations.empty()) return absl::OkStatus();
  const std::string key = (left.labels.empty() ? left.annotations : left.labels).begin()->first;
  return Error(absl::StatusCode::kUnavailable,
               "the API server took {} and the node does not have it; look for a webhook that "
               "changes nodes",
               key);
}

absl::Status Reporter::Show(const Stand& stand, bool last_word) {
  constexpr int kTries = 3;  // while others write to the node, too
  if (node_ == nullptr || stand.phase == Phase::kStarting) return absl::OkStatus();
  absl::Status shown = PatchOnce(stand, false, last_word);
  for (int i = 1; i < kTries && absl::IsAborted(shown); ++i) {
    shown = PatchOnce(stand, true, last_word);
  }
  GPUHOST_TRY(shown);
  healed_ = true;
  return absl::OkStatus();
}

}  // namespace gpuhost::cc_manager
