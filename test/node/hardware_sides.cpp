// SPDX-License-Identifier: Apache-2.0
//
// hardware-sides MODE: one change through the two sides of cc-manager, without Kubernetes. Tells
// what the confined side itself may write, waits for a line on stdin between arming and resetting,
// tells how long the calls took, and ends with status 0 when all devices are in the mode.
#include <fcntl.h>

#include <cstdio>

#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/hardware_process.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

using namespace gpuhost;

namespace {

void Say(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Tell(std::string_view step, const absl::Status& status,
          const std::vector<cc_manager::DeviceView>& devices) {
  const auto name = [](const std::optional<cc::State>& state) {
    return state ? std::string(cc::ToString(*state)) : "unknown";
  };
  Say(fmt::format("{}: {}", step, status.ok() ? "done" : Text(status)));
  for (const cc_manager::DeviceView& device : devices) {
    Say(fmt::format("{}: {} is {}, pending {}; {}; {}", step, device.bdf, name(device.state),
                    name(device.pending), device.in_use_by, device.error));
  }
}

void TryToWrite(const HostFs& fs, const pci::Device& device) {
  for (const char* attribute : {"reset", "resource0", "driver_override", "power/control"}) {
    Say(fmt::format("api side: {}: {}", attribute,
                    Text(fs.Open(device.SysfsPath(attribute), O_RDWR).status())));
  }
}

int Run(cc::Mode mode) {
  auto hardware = cc_manager::HardwareProcess::Fork(
      [](int socket) { cc_manager::RunHardwareSide("/", {}, socket); });
  HostFs fs;
  const auto devices = pci::ScanNvidia(fs);  // of which the confined side sees nothing any more
  if (!devices.ok() || devices->empty()) return 1;
  const absl::Status confined = hardware.ok() ? cc_manager::ConfineApiSide({}) : hardware.status();
  Say(fmt::format("confined: {}", confined.ok() ? "done" : Text(confined)));
  if (!confined.ok()) return 1;
  TryToWrite(fs, devices->front());
  const auto survey = (*hardware)->Query(mode, true);
  if (!survey.ok()) return 1;
  Tell("query", survey->admission, survey->devices);
  SystemClock clock;
  const TimePoint start = clock.Now();
  const auto armed = (*hardware)->Arm(mode);
  const Duration arming = clock.Now() - start;
  if (!armed.ok()) return 1;
  Tell("arm", armed->status, armed->devices);
  if (!armed->status.ok()) return 3;
  std::getchar();
  const TimePoint go_on = clock.Now();
  const auto done = (*hardware)->Reset();
  if (!done.ok()) return 1;
  Say(fmt::format("seconds={:.3f}", Seconds(arming + (clock.Now() - go_on))));
  Tell("reset", done->status, done->devices);
  return done->status.ok() ? 0 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  service::StartLog("hardware-sides", service::Level::kDebug);
  const auto mode = cc::ParseMode(argc == 2 ? argv[1] : "");
  if (!mode.ok()) {
    Say(Text(mode.status()));
    return 1;
  }
  return Run(*mode);
}
