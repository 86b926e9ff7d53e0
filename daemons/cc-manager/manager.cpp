// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/manager.h"

#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::cc_manager {
namespace {

std::string TextOf(const std::optional<cc::State>& state) {
  return state ? std::string(cc::ToString(*state)) : "";
}

// While knobs are being written, each GPU may already be armed for the target.
void PublishPhase(HostFs& fs, std::string_view phase, cc::Mode target,
                  std::span<const cc::DeviceResult> devices) {
  const bool arming = phase == "arming";
  service::StatusDocument document{.daemon = "cc-manager",
                                   .phase = std::string(phase),
                                   .target = std::string(cc::ToString(target))};
  for (const cc::DeviceResult& device : devices) {
    document.devices.push_back({.bdf = device.bdf.ToString(),
                                .state = TextOf(device.after ? device.after : device.before),
                                .pending = arming ? document.target : TextOf(device.pending),
                                .error = Text(device.status)});
  }
  if (const absl::Status status = service::Publish(fs, document); !status.ok()) {
    service::Log(service::Level::kWarning, "status not published, ignoring", {{"error", status}});
  }
}

}  // namespace

absl::StatusOr<std::vector<cc::Observation>> ObserveNode(const gpu::Host& host) {
  GPUHOST_ASSIGN(std::vector<pci::Device> devices, pci::ScanNvidia(host.fs));
  std::erase_if(devices, [](const pci::Device& device) {
    return device.kind() == pci::Kind::kCompanion || device.is_virtual_function;
  });
  const auto holders = vfio::FindHolders(host.fs, devices);
  std::vector<cc::Observation> seen;
  for (const pci::Device& device : devices) {
    seen.push_back(cc::Observe(host, device));
    if (const auto holder = holders.find(device.bdf); holder != holders.end()) {
      seen.back().in_use_by = vfio::ToString(holder->second);
    }
  }
  return seen;
}

absl::StatusOr<cc::Outcome> Apply(const gpu::Host& host, cc::Mode mode, bool force) {
  GPUHOST_ASSIGN(const auto seen, ObserveNode(host));
  GPUHOST_TRY(cc::Admit(seen, mode, {.force = force}));
  const auto publish = [&](std::string_view phase, std::span<const cc::DeviceResult> devices) {
    PublishPhase(host.fs, phase, mode, devices);
  };
  cc::Outcome outcome = cc::ChangeMode(host, seen, mode, publish);
  publish(outcome.status.ok() ? "steady" : "failed", outcome.devices);
  return outcome;
}

absl::StatusOr<std::string> DescribePlan(const gpu::Host& host, cc::Mode mode, bool force) {
  GPUHOST_ASSIGN(const auto seen, ObserveNode(host));
  GPUHOST_TRY(cc::Admit(seen, mode, {.force = force}));
  std::string text;
  for (const cc::Observation& gpu : seen) {
    if (!cc::TakesPart(gpu, mode)) {
      text += fmt::format("{}: nothing to do\n", gpu.device.bdf);
    } else if (!gpu.state.ok()) {
      text += fmt::format("{}: mode unknown ({})\n", gpu.device.bdf, Text(gpu.state.status()));
    } else {
      text +=
          ToString(cc::PlanDevice(gpu.device.bdf, gpu.chip->architecture, *gpu.state, mode)) + "\n";
    }
  }
  return text;
}

}  // namespace gpuhost::cc_manager
