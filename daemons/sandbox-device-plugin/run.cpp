// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/run.h"

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/sandbox-device-plugin/endpoint.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;
using service::Log;

constexpr Duration kSettle = std::chrono::milliseconds(20);  // uevents come in bursts

// Waits for a reason for another pass, at most for `limit`. False when it is time to stop.
bool WaitForChange(Clock& clock, int stop, pci::Monitor& devices, service::DirectoryWatch& sockets,
                   Duration limit) {
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const Duration left = std::max(deadline - clock.Now(), Duration::zero());
    const auto readable = service::WaitReadable({stop, devices.fd(), sockets.fd()}, left);
    if (readable[0]) return false;
    if (readable[1]) service::WaitReadable({stop}, kSettle);
    // The kubelet also keeps files of its own in the directory.
    const bool other_file = readable[2] && !sockets.Drain(".sock");
    if (devices.Drain() || !other_file) return true;
  }
}

}  // namespace

int RunDaemon(HostFs& fs, Clock& clock, const Options& options) {
  const auto any_name = EndpointName(fs.Resolve(options.kubelet_dir), "", 0);
  if (!any_name.ok()) {
    Log(Level::kError, "cannot start", {{"error", any_name.status()}});
    return service::kUsage;
  }
  auto stop = service::StopSignal::Block();
  auto devices = pci::Monitor::Open();  // before the first scan, so that no change is missed
  auto sockets = service::DirectoryWatch::Open();
  for (const absl::Status& status : {stop.status(), devices.status(), sockets.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  LogGrpcAtDebug();
  Plugin plugin(fs, *sockets, options);
  Duration limit;
  do {
    limit = plugin.Reconcile();
    service::Notify("READY=1\nSTATUS=" + plugin.Summary());
  } while (WaitForChange(clock, stop->fd(), *devices, *sockets, limit));
  service::Notify("STOPPING=1");
  Log(Level::kInfo, "stopping; CDI files stay");
  return service::kDone;
}

}  // namespace gpuhost::sandbox_device_plugin
