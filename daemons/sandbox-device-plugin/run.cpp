// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/run.h"

#include <atomic>
#include <cstdlib>
#include <memory>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/http_endpoint.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/endpoint.h"
#include "daemons/sandbox-device-plugin/metrics.h"
#include "daemons/sandbox-device-plugin/node_labels.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;
using service::Log;

constexpr size_t kLongestName = 63;                          // of a resource
constexpr Duration kSettle = std::chrono::milliseconds(10);  // uevents come in bursts

// What probes are told, on other threads.
struct Heartbeat {
  explicit Heartbeat(Clock& time) : clock(time), last(time.Now()) {}
  // Passes come every few seconds. One may wait for the kubelet, or for devices that are reset.
  bool Beats() const { return clock.Now() - last.load() < std::chrono::minutes(2); }

  Clock& clock;
  std::atomic<TimePoint> last;
  std::atomic<bool> ready = false;
};

// What another pass is made for.
struct Changes {
  pci::Monitor devices;
  service::DirectoryWatch sockets;    // of the kubelet's directory
  service::DirectoryWatch documents;  // of the other daemons

  static absl::StatusOr<Changes> Open() {
    GPUHOST_ASSIGN(auto devices, pci::Monitor::Open());
    GPUHOST_ASSIGN(auto sockets, service::DirectoryWatch::Open());
    GPUHOST_ASSIGN(auto documents, service::DirectoryWatch::Open());
    return Changes{std::move(devices), std::move(sockets), std::move(documents)};
  }
};

// Waits for a reason for another pass, at most for `limit`. False when it is time to stop.
bool WaitForChange(Clock& clock, int stop, Changes& changes, const Wakeup& wakeup, Duration limit) {
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const Duration left = std::max(deadline - clock.Now(), Duration::zero());
    const auto readable = service::WaitReadable(
        {stop, changes.devices.fd(), changes.sockets.fd(), changes.documents.fd(), wakeup.fd()},
        left);
    if (readable[0]) return false;
    if (readable[1]) service::WaitReadable({stop}, kSettle);
    if (readable.none()) return true;
    // In both directories are other files too, among them what this program writes.
    const bool device = changes.devices.Drain(), socket = changes.sockets.Drain(".sock");
    const bool document = changes.documents.Drain("cc-manager.json");
    if (wakeup.Drain() || device || socket || document) return true;
  }
}

// Dropped into the GPU Operator, the plugin sees nothing of the host's /run: neither the status
// documents of our cc-manager nor the files by which the operator's pods wait for each other.
bool FollowsLabels(const HostFs& fs, const Options& options) {
  if (options.node_labels != Options::NodeLabels::kAuto) {
    return options.node_labels == Options::NodeLabels::kAlways;
  }
  const bool in_pod = std::getenv("KUBERNETES_SERVICE_HOST") != nullptr;
  return in_pod && !options.node_name.empty() && !fs.Exists(service::kStatusDirectory) &&
         !fs.Exists("/run/nvidia/validations");
}

std::unique_ptr<NodeLabels> FollowLabels(const Options& options, const Wakeup& wakeup) {
  Log(Level::kInfo, "following the labels of our node", {{"node", options.node_name}});
  return std::make_unique<NodeLabels>(NodeLabels::Settings{
      .ask = [&options] { return AskForLabels(options.node_name, options.kubeconfig); },
      .changed = [&wakeup] { wakeup.Poke(); },
      .patience = options.labels_patience});
}

// A second plugin on the node is an error; a node without a place for locks is not: dropped into
// the GPU Operator, the plugin sees nothing of the host's /run.
absl::StatusOr<std::optional<service::Instance>> ClaimNode(HostFs& fs) {
  auto instance = service::Instance::Claim(fs, "sandbox-device-plugin");
  if (instance.ok()) return *std::move(instance);
  if (absl::IsFailedPrecondition(instance.status())) return instance.status();
  Log(Level::kWarning, "cc-manager cannot see that this program runs",
      {{"reason", instance.status()}});
  return std::nullopt;
}

}  // namespace

int RunDaemon(HostFs& fs, Clock& clock, const Options& options) {
  const std::string& directory =
      options.plugin_watcher ? options.plugins_registry : options.kubelet_dir;
  const auto any_name = EndpointName(fs.Resolve(directory), std::string(kLongestName, 'x'), 0);
  if (!any_name.ok()) {
    Log(Level::kError, "cannot start", {{"error", any_name.status()}});
    return service::kUsage;
  }
  auto stop = service::StopSignal::Block();
  auto changes = Changes::Open();  // before the first scan, so that no change is missed
  const bool follows_labels = FollowsLabels(fs, options);  // a claim makes a directory
  const auto instance = ClaimNode(fs);
  for (const absl::Status& status : {stop.status(), changes.status(), instance.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  LogGrpcAtDebug();
  service::Metrics metrics;
  DescribeMetrics(metrics);
  Heartbeat heartbeat(clock);
  std::unique_ptr<service::HttpEndpoint> endpoint;
  if (!options.metrics.empty()) {
    auto listening = service::HttpEndpoint::Listen(
        options.metrics, {.metrics = metrics,
                          .healthy = [&] { return heartbeat.Beats(); },
                          .ready = [&] { return heartbeat.ready.load(); }});
    if (!listening.ok()) {
      Log(Level::kError, "cannot start", {{"error", listening.status()}});
      return service::kUsage;
    }
    endpoint = *std::move(listening);
  }
  Plugin plugin(fs, clock, changes->sockets, options);
  const auto labels = follows_labels ? FollowLabels(options, plugin.wakeup()) : nullptr;
  plugin.OnProgress([&] { heartbeat.last = clock.Now(); });
  Duration limit;
  do {
    const TimePoint started = clock.Now();
    // Where the directory is missing there is no cc-manager to hear of.
    changes->documents.Watch(fs.Resolve("/run/nvidia/gpuhost")).IgnoreError();
    if (labels) plugin.HoldAll(labels->HeldBack(started));
    limit = plugin.Reconcile();
    heartbeat.last = clock.Now();
    heartbeat.ready = IsReady(plugin.Resources());
    if (endpoint) {
      SetMetrics(metrics, {.resources = plugin.Resources(),
                           .errors = plugin.Errors(),
                           .cdi_files = plugin.cdi_files(),
                           .pass = clock.Now() - started});
    }
    const std::string summary = plugin.Summary();
    service::Notify({.ready = true, .status = summary});
  } while (WaitForChange(clock, stop->fd(), *changes, plugin.wakeup(), limit));
  service::Notify({.stopping = true});
  Log(Level::kInfo, "stopping; CDI files stay");
  return service::kDone;
}

}  // namespace gpuhost::sandbox_device_plugin
