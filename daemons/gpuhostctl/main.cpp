// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/gpuhostctl/attestation.h"
#include "daemons/gpuhostctl/delegate.h"
#include "daemons/gpuhostctl/devices.h"
#include "daemons/gpuhostctl/events.h"
#include "daemons/gpuhostctl/options.h"
#include "daemons/gpuhostctl/render.h"
#include "daemons/gpuhostctl/screen.h"
#include "daemons/gpuhostctl/top.h"
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

int WatchStatus(const Options& options) {
  SystemClock clock;
  KeepShowing(OurScreen(), clock, std::chrono::seconds(1), [&] {
    const auto rows = Collect(options);
    return rows.ok() ? RenderTable(*rows) : Text(rows.status()) + "\n";
  });
  return service::kDone;
}

int ShowStatus(const Options& options) {
  if (options.watch) return WatchStatus(options);
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
  const auto text = RenderDevices(HostFs(options.root), options.json);
  if (!text.ok()) return Fail(text.status());
  fmt::print("{}", *text);
  return service::kDone;
}

int ShowEvents(const Options& options) {
  const auto text = RenderEvents(HostFs(options.root), options.json);
  if (!text.ok()) return Fail(text.status());
  fmt::print("{}", *text);
  return service::kDone;
}

int ShowTop(const Options& options) {
  const HostFs fs(options.root);
  const Screen screen = OurScreen();
  const auto first = service::ReadStatusDocument(fs, "cc-manager");
  if (absl::IsNotFound(first.status())) {
    return Fail(absl::NotFoundError("cc-manager has not run on this node"));
  }
  SystemClock clock;
  KeepShowing(screen, clock, std::chrono::milliseconds(200), [&] {
    const auto document = service::ReadStatusDocument(fs, "cc-manager");
    if (!document.ok()) return Text(document.status()) + "\n";
    return RenderTop(*document, service::IsAlive(fs, "cc-manager"), screen.columns, screen.color);
  });
  return service::kDone;
}

int ShowAttestation(const Options& options) {
  const auto rows = Collect(options);
  if (!rows.ok()) return Fail(rows.status());
  fmt::print("{}", options.json ? RenderAttestationJson(*rows, options.kbs_url)
                                : RenderAttestation(*rows, options.kbs_url));
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
    case Options::Command::kEvents:
      return ShowEvents(options);
    case Options::Command::kTop:
      return ShowTop(options);
    case Options::Command::kAttestation:
      return ShowAttestation(options);
    case Options::Command::kGetMode:
      return ShowMode(options);
    case Options::Command::kDelegate:
      return Delegate(options);
  }
}
