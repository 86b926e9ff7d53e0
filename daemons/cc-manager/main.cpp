// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/config.h"
#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/connect.h"
#include "daemons/cc-manager/fd_wakeup.h"
#include "daemons/cc-manager/hardware_process.h"
#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/run.h"
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

// One after the other: the hardware side first, because it must fork before there are threads; then
// this side gives up its rights; then what it works with.
absl::StatusOr<int> Start(Options& options) {
  HostFs fs(options.root);
  SystemClock clock;
  GPUHOST_ASSIGN(const auto hardware, StartHardwareProcess(options.root));
  GPUHOST_ASSIGN(const auto wakeup,
                 FdWakeup::Open(fs.Resolve(std::string(service::kStatusDirectory))));
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
  Manager manager({fs, clock, *hardware, node, *wakeup, reporter, [&wish] { return wish.Mode(); }},
                  options.settings);
  if (options.once) return RunOnce(manager, reporter, *wakeup);
  if (node != nullptr) {
    wakeup->Watch(*node);
    node->Follow();
  }
  wakeup->OnReload([&wish] { wish.Reload(); });
  return RunDaemon(manager, reporter, *wakeup, clock, ready);
}

}  // namespace
}  // namespace gpuhost::cc_manager

int main(int argc, char** argv) {
  using namespace gpuhost;
  auto parsed = cc_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  auto& options = std::get<cc_manager::Options>(parsed);
  service::StartLog("cc-manager", options.verbose ? service::Level::kDebug : service::Level::kInfo);
  const auto result = options.dry_run ? cc_manager::PrintPlan(options) : cc_manager::Start(options);
  if (result.ok()) return *result;
  service::Log(service::Level::kError, "cannot start", {{"error", result.status()}});
  return absl::IsInvalidArgument(result.status()) ? service::kUsage : service::kFailed;
}
