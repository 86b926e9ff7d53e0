// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/options.h"
#include "daemons/sandbox-device-plugin/run.h"

int main(int argc, char** argv) {
  using namespace gpuhost;

  const auto parsed = sandbox_device_plugin::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<sandbox_device_plugin::Options>(parsed);
  service::StartLog("sandbox-device-plugin", options.log_level);

  HostFs fs(options.root);
  SystemClock clock;
  return sandbox_device_plugin::RunDaemon(fs, clock, options);
}
