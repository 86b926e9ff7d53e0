// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/config.h"
#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/connect.h"
#include "daemons/cc-manager/fd_wakeup.h"
#include "daemons/cc-manager/hardware_process.h"
#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/run.h"
#include "daemons/cc-manager/supervisor.h"
#include "daemons/cc-manager/wish.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/http_endpoint.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

std::string Directory(const std::string& file) { return file.substr(0, file.rfind('/')); }

constexpr Duration kLastAnswers = std::chrono::seconds(12);  // of the hardware side, after SIGTERM

// One after the other: what this side works with; then it gives up its rights; then it begins.
absl::StatusOr<int> RunApiSide(Options& options, HardwareProcess& hardware) {
  HostFs fs(options.root);
  SystemClock clock;
  GPUHOST_ASSIGN(const auto wakeup,
                 FdWakeup::Open(fs.Resolve(std::string(service::kStatusDirectory))));
  hardware.HearStop(wakeup->stop_fd(), kLastAnswers);
  wakeup->Watch(hardware);
  GPUHOST_ASSIGN(const auto instance, service::Instance::Claim(fs, "cc-manager"));
  GPUHOST_ASSIGN(const auto cluster, Connect(options, wakeup->stop_fd()));
  GPUHOST_TRY(ConfineApiSide(fs, Directory(options.settings.readiness_file)));

  service::Metrics metrics;
  std::atomic<bool> ready = false;
  std::unique_ptr<service::HttpEndpoint> endpoint;
  if (!options.http_address.empty()) {
    const auto healthy = [&wakeup] { return wakeup->Busy() < std::chrono::minutes(10); };
    GPUHOST_ASSIGN(endpoint,
                   service::HttpEndpoint::Listen(options.http_address,
                                                 {metrics, healthy, [&] { return ready.load(); }}));
  }
  OurNode* node = cluster ? &cluster->node : nullptr;
  Wish wish(fs, clock, options, node);
  Reporter reporter(fs, clock, node, metrics, options.settings);
  Manager manager({fs, clock, hardware, node, *wakeup, reporter, [&wish] { return wish.Mode(); }},
                  options.settings);
  if (options.once) return RunOnce(manager, reporter, *wakeup);
  if (node != nullptr) {
    wakeup->Watch(*node);
    node->Follow();
  }
  wakeup->OnReload([&wish] { wish.Reload(); });
  return RunDaemon(manager, reporter, *wakeup, clock, ready);
}

int ExitStatus(const absl::StatusOr<int>& result) {
  if (result.ok()) return *result;
  service::Log(service::Level::kError, "cannot start", {{"error", result.status()}});
  return absl::IsInvalidArgument(result.status()) ? service::kUsage : service::kFailed;
}

absl::StatusOr<int> Start(Options& options) {
  const cc::Policy policy{.force = options.settings.policy == WorkloadPolicy::kForce};
  const auto side = [&](int socket) { return RunHardwareSide(options.root, policy, socket); };
  const auto api = [&options](UniqueFd control) {
    HardwareProcess hardware(std::move(control));
    return ExitStatus(RunApiSide(options, hardware));
  };
  return Supervise({side, api});
}

}  // namespace

int Main(Options& options) {
  return ExitStatus(options.dry_run ? PrintPlan(options) : Start(options));
}

}  // namespace gpuhost::cc_manager

int main(int argc, char** argv) {
  using namespace gpuhost;
  auto parsed = cc_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  auto& options = std::get<cc_manager::Options>(parsed);
  service::StartLog("cc-manager", options.verbose ? service::Level::kDebug : service::Level::kInfo);
  return cc_manager::Main(options);
}
