// SPDX-License-Identifier: Apache-2.0
//
// read-knobs: asks the firmware of each device that nobody uses for all its knobs, one line each:
// "0000:01:00.0 2331 knob-2=0 ...".
#include <cstdio>

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"
#include "libgpuhost/gpu/session.h"
#include "libgpuhost/pci/scan.h"

using namespace gpuhost;

namespace {

absl::StatusOr<std::string> Knobs(const gpu::Host& host, const pci::Device& device) {
  using enum gpu::Knob;
  GPUHOST_ASSIGN(const auto session, gpu::Session::Open(host, device));
  std::string text;
  for (const gpu::Knob knob :
       {kFeature2, kFeature4, kCcDevtools, kCcMode, kBar0Decoupler, kFeature34, kPpcie}) {
    const auto value = session->firmware().Read(knob);
    if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
    text += fmt::format(" {}={}", gpu::KnobName(knob), value.ok() ? fmt::to_string(*value) : "-");
  }
  return text;
}

}  // namespace

int main() {
  HostFs fs;
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  const auto devices = pci::ScanNvidia(fs);
  if (!devices.ok()) return 4;
  for (const pci::Device& device : *devices) {
    const auto knobs = Knobs({fs, clock, registers}, device);
    fmt::print("{} {:04x}{}\n", device.bdf, device.device,
               knobs.ok() ? *knobs : " " + Text(knobs.status()));
  }
}
