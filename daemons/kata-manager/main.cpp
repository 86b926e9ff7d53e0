// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/kata-manager/daemon.h"
#include "daemons/kata-manager/production.h"
#include "daemons/kata-manager/verbs.h"

int main(int argc, char** argv) {
  using namespace gpuhost;

  const auto parsed = kata_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<kata_manager::Options>(parsed);
  service::StartLog("kata-manager",
                    options.verbose ? service::Level::kDebug : service::Level::kInfo);
  const auto stop = service::StopSignal::Block();
  if (!stop.ok()) {
    service::Log(service::Level::kError, "cannot start", {{"error", stop.status()}});
    return service::kFailed;
  }

  kata_manager::Production production(options, stop->fd());
  kata_manager::Deps deps = production.deps();
  return options.verb == kata_manager::Verb::kRun ? kata_manager::RunDaemon(deps, options, *stop)
                                                  : kata_manager::RunOnce(deps, options);
}
