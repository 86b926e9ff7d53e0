// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/log.h"
#include "daemons/vfio-manager/daemon.h"
#include "daemons/vfio-manager/options.h"
#include "daemons/vfio-manager/run.h"

int main(int argc, char** argv) {
  using namespace gpuhost;

  const auto parsed = vfio_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<vfio_manager::Options>(parsed);
  service::StartLog("vfio-manager",
                    options.verbose ? service::Level::kDebug : service::Level::kInfo);

  HostFs fs(options.root);
  SystemClock clock;
  vfio_manager::Deps deps{fs, clock, vfio::HostModprobe(options.host_root)};
  return options.verb == vfio_manager::Verb::kRun ? vfio_manager::RunDaemon(deps, options)
                                                  : vfio_manager::RunOnce(deps, options);
}
