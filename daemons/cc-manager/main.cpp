// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/run.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/gpu/bar0.h"

int main(int argc, char** argv) {
  using namespace gpuhost;

  SystemClock clock;
  const TimePoint start = clock.Now();
  const auto parsed = cc_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<cc_manager::Options>(parsed);
  service::StartLog("cc-manager", options.verbose ? service::Level::kDebug : service::Level::kInfo);

  HostFs fs(options.root);
  gpu::Bar0Source registers(fs);
  const gpu::Host host{fs, clock, registers};
  kube::CurlClient http;
  const auto target = cc_manager::MakeTarget(fs, http, options);
  if (!target.ok()) {
    service::Log(service::Level::kError, "cannot start", {{"error", target.status()}});
    return service::kUsage;
  }
  if (options.dry_run) return cc_manager::PrintPlan(host, **target, options.force);
  return options.once ? cc_manager::RunOnce(host, **target, options.force, start)
                      : cc_manager::RunDaemon(host, **target, options.force, start);
}
