// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/common/service/exit_code.h"
#include "daemons/gpuhostctl/delegate.h"
#include "daemons/gpuhostctl/devices.h"
#include "daemons/gpuhostctl/options.h"
#include "daemons/gpuhostctl/render.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

namespace gpuhost::gpuhostctl {
namespace {

int Fail(const absl::Status& status) {
  fmt::print(stderr, "gpuhostctl: {}\n", Text(status));
  return absl::IsNotFound(status) ? service::kImpossible : service::kFailed;
}

absl::StatusOr<std::vector<Row>> Collect(const Options& options) {
  HostFs fs(options.root);
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  return CollectStatus({fs, clock, registers}, options.ask_firmware);
}

int ShowStatus(const Options& options) {
  const auto rows = Collect(options);
  if (!rows.ok()) return Fail(rows.status());
  fmt::print("{}", options.json ? RenderJson(*rows) : RenderTable(*rows));
  return std::ranges::any_of(*rows, &Row::broken) ? service::kFailed : service::kDone;
}

int ShowMode(const Options& options) {
  const auto rows = Collect(options);
  if (!rows.ok()) return Fail(rows.status());
  fmt::print("{}", options.json ? RenderModeJson(*rows) : RenderMode(*rows));
  return CommonMode(*rows).empty() ? service::kFailed : service::kDone;
}

int ShowDevices(const Options& options) {
  const auto text = RenderDevices(HostFs(options.root));
  if (!text.ok()) return Fail(text.status());
  fmt::print("{}", *text);
  return service::kDone;
}

int Delegate(const Options& options) {
  const absl::Status may = CheckNotAlive(HostFs(options.root), options.unless_alive);
  return Fail(may.ok() ? Become(options.program, options.arguments) : may);
}

}  // namespace
}  // namespace gpuhost::gpuhostctl

int main(int argc, char** argv) {
  using namespace gpuhost::gpuhostctl;
  const auto parsed = ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<Options>(parsed);
  switch (options.command) {
    case Options::Command::kStatus:
      return ShowStatus(options);
    case Options::Command::kDevices:
      return ShowDevices(options);
    case Options::Command::kGetMode:
      return ShowMode(options);
    case Options::Command::kDelegate:
      return Delegate(options);
  }
}
