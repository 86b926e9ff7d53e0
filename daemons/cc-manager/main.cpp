// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/run.h"
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
  if (options.dry_run) return cc_manager::PrintPlan(host, options);
  return options.once ? cc_manager::RunOnce(host, options, start)
                      : cc_manager::RunDaemon(host, options, start);
}
