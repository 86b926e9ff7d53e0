// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/chips.h"

namespace gpuhost::node_validator {
namespace {

std::string NotHere(const Facts& facts) { return facts.devices.gpus.empty() ? "no GPU" : ""; }

Findings Capable(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  if (facts.workload == Workload::kPassthrough) return {Skip("only for confidential guests")};
  std::vector<std::string> without;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (gpu.device.kind() != pci::Kind::kGpu) continue;
    const gpu::Chip* chip = gpu::FindChip(gpu.device);
    if (chip == nullptr || chip->layout == nullptr || gpu::IsCoupled(gpu.device)) {
      without.push_back(fmt::format("{} ({})", gpu.device.bdf, gpu.model));
    }
  }
  if (without.empty()) return {Pass("all have it", "/sys/bus/pci/devices/*/device")};
  return {Fail("without it: " + Some(without), "/sys/bus/pci/devices/*/device")};
}

Findings Modes(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  std::map<std::string, std::vector<std::string>> by_mode;
  std::string unknown, source;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (gpu.device.kind() == pci::Kind::kNvSwitch) continue;
    if (gpu.mode.ok()) {
      by_mode[*gpu.mode].push_back(gpu.device.bdf.ToString());
      source = gpu.mode_source;
    } else {
      unknown = fmt::format("{}: {}", gpu.device.bdf, Text(gpu.mode.status()));
    }
  }
  std::vector<std::string> texts;
  for (const auto& [mode, bdfs] : by_mode) texts.push_back(fmt::format("{}: {}", mode, Some(bdfs)));
  if (by_mode.size() > 1) return {Fail("not one mode; " + Some(texts), source)};
  if (by_mode.empty()) return {Unknown(unknown, "BAR0, or cc-manager's status")};
  const std::string& mode = by_mode.begin()->first;
  const bool confidential = facts.workload == Workload::kConfidential;
  const bool protects = mode == "on" || mode == "ppcie";
  if (confidential ? protects : mode == "off") {
    if (!unknown.empty()) return {Unknown(unknown, source)};
    return {Pass(mode, source)};
  }
  Finding finding = Fail(fmt::format("the mode is {}", mode), source);
  if (!confidential) {
    finding.expected = "off";
    finding.remedy =
        "Set the label nvidia.com/cc.mode=off, or run `cc-manager --standalone --once "
        "--mode off`.";
  } else if (mode == "devtools") {
    finding.severity = Severity::kDegraded;
    finding.observed += ", which protects nothing";
  }
  return {finding};
}

Findings Manager(const Facts& facts) {
  const Devices& devices = facts.devices;
  constexpr const char* kFile = "/run/nvidia/gpuhost/cc-manager.json";
  if (devices.manager_phase.empty()) return {Skip("cc-manager of gpuhost has not run here")};
  if (devices.manager_phase == "failed") {
    return {
        Fail(fmt::format("the change to {} failed: {}", devices.wanted_mode,
                         devices.manager_reason.empty() ? "see its log" : devices.manager_reason),
             kFile)};
  }
  if (devices.manager_phase != "steady") {
    Finding finding = Fail(
        fmt::format("a change to {} is under way ({})", devices.wanted_mode, devices.manager_phase),
        kFile);
    finding.severity = Severity::kDegraded;
    finding.remedy = "Wait until it has ended, then look again: `gpuhostctl status`.";
    return {finding};
  }
  return {Pass(fmt::format("steady, {}", devices.wanted_mode), kFile)};
}

Findings Armed(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  std::vector<std::string> armed;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (gpu.device.kind() == pci::Kind::kNvSwitch) continue;
    if (gpu.mode.ok() && !gpu.pending.empty() && gpu.pending != *gpu.mode) {
      armed.push_back(fmt::format("{} becomes {}", gpu.device.bdf, gpu.pending));
    }
  }
  if (armed.empty()) return {Pass("no other mode is pending", "cc-manager's status")};
  return {Fail(Some(armed), "/run/nvidia/gpuhost/cc-manager.json")};
}

}  // namespace

Group ModeChecks() {
  return {
      "Confidential-computing mode",
      {
          {"CC-CHIP",
           Severity::kFatal,
           "All GPUs can compute confidentially",
           "Hopper or Blackwell, not coupled to a processor",
           "Use a node whose GPUs are H100, H200, B200, B300 or RTX PRO 6000 Blackwell; take other "
           "GPUs "
           "out of this one.",
           "A node has one mode for all of its GPUs. Superchips (GH200, GB200) have no such mode.",
           {},
           &Capable},
          {"CC-MODE",
           Severity::kFatal,
           "All GPUs are in one mode that protects",
           "on, or ppcie with NVSwitches on Hopper",
           "Set the node's label: `kubectl label node <node> nvidia.com/cc.mode=on --overwrite`; "
           "without "
           "Kubernetes: `cc-manager --standalone --once --mode on`.",
           "Read from the GPUs' registers where that is possible: as root, outside of a lockdown, "
           "and while "
           "no guest has the GPU. Else what cc-manager last published.",
           {"CC-CHIP", "GPU-BUS", "CC-MANAGER"},
           &Modes},
          {"CC-MANAGER",
           Severity::kFatal,
           "The last change of the mode went well",
           "steady",
           "Read why: `gpuhostctl status` and cc-manager's log. A device that does not come back "
           "from its "
           "reset needs the machine to be powered off and on.",
           "A change of the mode resets GPUs, and withdraws them from the kubelet meanwhile.",
           {"CC-CHIP", "GPU-BUS"},
           &Manager},
          {"CC-ARMED",
           Severity::kDegraded,
           "No GPU changes its mode at the next reset",
           "the pending mode is the present one",
           "Run cc-manager, which settles it, or `cc-manager --standalone --once --mode <mode>`.",
           "Kata resets a GPU before each guest; one that is armed would come up in another mode "
           "than the "
           "guest expects.",
           {"CC-MANAGER"},
           &Armed},
      }};
}

}  // namespace gpuhost::node_validator
