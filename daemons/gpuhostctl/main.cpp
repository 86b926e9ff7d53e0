// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/common/service/exit_code.h"
#include "daemons/gpuhostctl/devices.h"
#include "daemons/gpuhostctl/doctor.h"
#include "daemons/gpuhostctl/options.h"
#include "daemons/gpuhostctl/render.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

int main(int argc, char** argv) {
  using namespace gpuhost;

  const auto parsed = gpuhostctl::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<gpuhostctl::Options>(parsed);

  if (options.command == gpuhostctl::Options::Command::kDoctor) {
    fmt::print(stderr, "gpuhostctl: {}\n", Text(gpuhostctl::RunDoctor(options.doctor)));
    return service::kFailed;
  }
  HostFs fs(options.root);
  if (options.command == gpuhostctl::Options::Command::kDevices) {
    const auto text = gpuhostctl::RenderDevices(fs);
    if (text.ok()) return fmt::print("{}", *text), service::kDone;
    fmt::print(stderr, "gpuhostctl: {}\n", Text(text.status()));
    return absl::IsNotFound(text.status()) ? service::kImpossible : service::kFailed;
  }
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  const auto rows = gpuhostctl::CollectStatus({fs, clock, registers}, options.ask_firmware);
  if (!rows.ok()) {
    fmt::print(stderr, "gpuhostctl: {}\n", Text(rows.status()));
    return absl::IsNotFound(rows.status()) ? service::kImpossible : service::kFailed;
  }
  fmt::print("{}", options.json ? gpuhostctl::RenderJson(*rows) : gpuhostctl::RenderTable(*rows));
  const bool broken = std::ranges::any_of(*rows, &gpuhostctl::Row::broken);
  return broken ? service::kFailed : service::kDone;
}
