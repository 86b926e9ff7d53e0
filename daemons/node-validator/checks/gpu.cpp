// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <set>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/coupled.h"

namespace gpuhost::node_validator {
namespace {

using pci::Kind;

std::string NameOf(const GpuFacts& gpu) {
  return fmt::format("{}{}", gpu.device.bdf,
                     gpu.device.kind() == Kind::kNvSwitch ? " (NVSwitch)" : "");
}

std::string OfAll(const Facts& facts, size_t wrong) {
  return fmt::format("{} of {}", wrong, facts.devices.gpus.size());
}

// For checks of each device: those that `wrong` says something about, in one finding.
template <typename Wrong>
Findings ForEach(const Facts& facts, std::string fine, std::string evidence, Wrong wrong) {
  if (facts.devices.gpus.empty()) return {Skip("no GPU")};
  std::vector<std::string> complaints;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (const std::string text = wrong(gpu); !text.empty()) {
      complaints.push_back(fmt::format("{} {}", NameOf(gpu), text));
    }
  }
  if (complaints.empty()) return {Pass(std::move(fine), std::move(evidence))};
  return {Fail(fmt::format("{}: {}", OfAll(facts, complaints.size()), Some(complaints)),
               std::move(evidence))};
}

Findings Enumerate(const Facts& facts) {
  constexpr const char* kBus = "/sys/bus/pci/devices";
  if (!facts.devices.scanned.ok()) return {Unknown(Text(facts.devices.scanned.status()), kBus)};
  std::map<std::string, int> models;
  int gpus = 0;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    ++models[gpu.device.kind() == Kind::kNvSwitch ? "NVSwitch" : gpu.model];
    gpus += gpu.device.kind() == Kind::kGpu ? 1 : 0;
  }
  if (gpus == 0) return {Fail("no NVIDIA GPU on the PCI bus", kBus)};
  std::vector<std::string> texts;
  for (const auto& [model, count] : models) texts.push_back(fmt::format("{} x {}", count, model));
  return {Pass(Some(texts), kBus)};
}

Findings OnTheBus(const Facts& facts) {
  return ForEach(facts, "all answer", "/sys/bus/pci/devices/*/config", [](const GpuFacts& gpu) {
    return gpu.answers ? "" : "reads as ffff: it has fallen off the bus";
  });
}

Findings Driver(const Facts& facts) {
  if (facts.devices.gpus.empty()) return {Skip("no GPU")};
  std::vector<std::string> wrong;
  std::set<std::string> drivers;
  bool switches = false;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    const std::string driver = gpu.device.driver.value_or("no driver");
    if (driver == "vfio-pci" && pci::IsCoupled(gpu.device)) {
      wrong.push_back(fmt::format(
          "{} has vfio-pci, which hands out none of its memory (nvgrace_gpu_vfio_pci does)",
          NameOf(gpu)));
    } else if (gpu.device.BoundToVfio()) {
      drivers.insert(driver);
    } else if (gpu.device.kind() == Kind::kNvSwitch && facts.devices.wanted_mode != "ppcie") {
      switches = true;
    } else {
      wrong.push_back(fmt::format("{} has {}", NameOf(gpu), driver));
    }
  }
  if (!wrong.empty()) {
    return {Fail(fmt::format("{}: {}", OfAll(facts, wrong.size()), Some(wrong)),
                 "/sys/bus/pci/devices/*/driver")};
  }
  std::string seen = Some({drivers.begin(), drivers.end()});
  if (switches) seen += "; NVSwitches are not bound, which only mode ppcie needs";
  return {Pass(seen, "/sys/bus/pci/devices/*/driver")};
}

Findings OtherDrivers(const Facts& facts) {
  constexpr auto kDrivers = std::to_array<const char*>(
      {"nvidia", "nouveau", "nova_core", "nvidiafb", "nvidia_drm", "nvidia_vgpu_vfio"});
  std::vector<std::string> loaded;
  for (const char* name : kDrivers) {
    if (facts.host.modules.contains(name)) loaded.emplace_back(name);
  }
  if (loaded.empty()) return {Pass("no GPU driver on the host", "/proc/modules")};
  return {
      Fail(Some(loaded) + (loaded.size() == 1 ? " is loaded" : " are loaded"), "/proc/modules")};
}

Findings Nodes(const Facts& facts) {
  if (facts.workload == Workload::kPassthrough) {
    return ForEach(facts, "each has one", "/dev/vfio", [](const GpuFacts& gpu) {
      return gpu.device.BoundToVfio() && !gpu.device.iommu_group && gpu.node.empty() ? "has none"
                                                                                     : "";
    });
  }
  return ForEach(facts, "each has one", "/dev/vfio/devices",
                 [&](const GpuFacts& gpu) -> std::string {
                   if (gpu.device.kind() == Kind::kNvSwitch && !gpu.device.BoundToVfio()) return "";
                   if (gpu.node.empty()) return "has none";
                   return gpu.node_present.ok() ? "" : Trouble(gpu.node_present, gpu.node);
                 });
}

Findings Isolation(const Facts& facts) {
  return ForEach(
      facts, "each in a group of its own", "/sys/kernel/iommu_groups", [](const GpuFacts& gpu) {
        std::vector<std::string> others;
        for (const pci::Device& device : gpu.neighbours) {
          if (device.IsBridge()) continue;
          const bool board = device.bdf.bus == gpu.device.bdf.bus &&
                             device.bdf.device == gpu.device.bdf.device &&
                             device.bdf.domain == gpu.device.bdf.domain;
          const bool viable = !device.driver || device.BoundToVfio();
          if (board && viable) continue;
          others.push_back(
              fmt::format("{}{}", device.bdf, viable ? "" : fmt::format(" ({})", *device.driver)));
        }
        if (others.empty()) return std::string();
        return fmt::format("shares group {} with {}", gpu.device.iommu_group.value_or(0),
                           Some(others));
      });
}

Findings Acs(const Facts& facts) {
  if (facts.devices.gpus.empty()) return {Skip("no GPU")};
  // Source validation, P2P request and completion redirect, upstream forwarding.
  constexpr uint16_t kNeeded = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4;
  constexpr const char* kFile = "/sys/bus/pci/devices/<port>/config";
  std::set<std::string> off;
  size_t known = 0, seen = 0;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    for (const Bridge& bridge : gpu.bridges) {
      ++seen;
      known += bridge.acs_known ? 1 : 0;
      if (bridge.acs_control && (*bridge.acs_control & kNeeded) != kNeeded) {
        off.insert(fmt::format("{} (control {:#06x})", bridge.bdf, *bridge.acs_control));
      }
    }
  }
  if (!off.empty()) return {Fail("off at " + Some({off.begin(), off.end()}), kFile)};
  if (seen == 0) return {Unknown("the bridges above the GPUs are not known", kFile)};
  if (known == 0) return {Unknown("configuration space beyond 64 bytes is for root", kFile)};
  return {Pass(fmt::format("on at {} ports", known), kFile)};
}

Findings Bars(const Facts& facts) {
  constexpr uint64_t kSmallest = 1ull << 30;
  Findings findings =
      ForEach(facts, "all assigned", "/sys/bus/pci/devices/*/resource", [](const GpuFacts& gpu) {
        if (gpu.device.kind() == Kind::kNvSwitch || !gpu.memory_bar) return std::string();
        if (*gpu.memory_bar == 0) return std::string("has no BAR1");
        if (*gpu.memory_bar >= kSmallest) return std::string();
        return fmt::format("has a BAR1 of {} MiB", *gpu.memory_bar >> 20);
      });
  if (findings[0].state == State::kPass && !facts.devices.gpus[0].memory_bar) {
    return {Unknown("the resources could not be read", "/sys/bus/pci/devices/*/resource")};
  }
  return findings;
}

Findings Link(const Facts& facts) {
  return ForEach(facts, "as fast as they can", "/sys/bus/pci/devices/*/current_link_width",
                 [](const GpuFacts& gpu) {
                   // An idle link is slow on purpose; only lanes tell of a bad seat.
                   if (gpu.width == gpu.max_width || gpu.width.empty() || gpu.width == "0")
                     return std::string();
                   return fmt::format("has {} of {} lanes", gpu.width, gpu.max_width);
                 });
}

Findings Power(const Facts& facts) {
  return ForEach(facts, "awake", "/sys/bus/pci/devices/*/power_state", [](const GpuFacts& gpu) {
    const std::string state = gpu.device.power_state.value_or("");
    return state == "D3cold" ? "is in " + state : std::string();
  });
}

}  // namespace

Group GpuChecks() {
  return {
      "GPUs",
      {
          {"GPU-ENUM",
           Severity::kFatal,
           "There are GPUs",
           "at least one function of vendor 10de, class 0300 or 0302",
           "Check with `lspci -d 10de:`. If it shows nothing: the board's seat and power, and "
           "\"Above 4G "
           "decoding\" in the firmware setup.",
           "Virtual functions are not counted.",
           {},
           &Enumerate},
          {"GPU-BUS",
           Severity::kFatal,
           "The GPUs answer",
           "configuration space is not all ones",
           "Power the machine off and on. If it happens again, read `dmesg | grep -i -e aer -e "
           "pcie`, and "
           "have the board looked at.",
           "A device that is off the bus reads as all ones.",
           {},
           &OnTheBus},
          {"GPU-DRV",
           Severity::kFatal,
           "The GPUs are on VFIO",
           "vfio-pci, or a variant driver of VFIO's",
           "Run `vfio-manage bind --all` (add --dry-run to see it first), or start "
           "gpuhost-vfio-manager.service. On Kubernetes look at the pod of vfio-manager.",
           "NVSwitches must be bound too where the mode is ppcie. `lspci -nnk -d 10de:` shows the "
           "same as "
           "\"Kernel driver in use\".",
           {"IOMMU-ON", "IOMMU-CMD", "VFIO-MODS", "GPU-ENUM", "NO-NVIDIA"},
           &Driver},
          {"NO-NVIDIA",
           Severity::kDegraded,
           "No GPU driver is on the host",
           "none of nvidia, nouveau, nova_core, nvidiafb",
           "Remove the driver's package, and add modprobe.blacklist=nouveau,nova_core,nvidiafb to "
           "GRUB_CMDLINE_LINUX; run `update-grub` and reboot.",
           "A driver that is loaded takes a GPU as soon as it is unbound, as when its mode "
           "changes.",
           {},
           &OtherDrivers},
          {"VFIO-CDEV",
           Severity::kFatal,
           "Each GPU has a VFIO device node",
           "/dev/vfio/devices/vfioN with the numbers that sysfs tells",
           "Bind the GPUs (GPU-DRV). If they are, the kernel lacks CONFIG_VFIO_DEVICE_CDEV, or "
           "/dev is not "
           "the host's: in a container mount the host's /dev; on the host run `udevadm trigger -s "
           "vfio-dev`.",
           "Kata's confidential guests take GPUs by these nodes only.",
           {"GPU-DRV", "NO-NVIDIA", "IOMMUFD", "IOMMU-ON", "IOMMU-CMD", "NO-NOIOMMU"},
           &Nodes},
          {"GROUP-ISO",
           Severity::kFatal,
           "Each GPU is alone in its IOMMU group",
           "besides bridges only functions of the same board, on VFIO or without driver",
           "Enable ACS in the firmware setup (on AMD it may be under AER), update the firmware, or "
           "move the "
           "board to another slot. A neighbour with a driver must be unbound.",
           "A group goes to one virtual machine as a whole; devices in one group can reach each "
           "other.",
           {"ACS", "ACS-OVERRIDE"},
           &Isolation},
          {"ACS",
           Severity::kDegraded,
           "PCIe ports separate devices",
           "source validation, both redirects and upstream forwarding are on",
           "Enable ACS in the firmware setup (some AMD firmware: under AER), then power off and "
           "on.",
           "Without Access Control Services devices below one switch may reach each other past the "
           "IOMMU. "
           "Read from the extended configuration space, which only root may.",
           {},
           &Acs},
          {"BARS",
           Severity::kFatal,
           "GPU memory is mapped",
           "BAR1 is assigned, 1 GiB or larger",
           "Enable \"Above 4G decoding\" and raise the size of the MMIO window (MMIO high size, "
           "64-bit "
           "BARs) in the firmware setup; `dmesg | grep BAR` tells what did not fit.",
           "A firmware that finds no room for a GPU's memory leaves it out: \"BAR ... no space\".",
           {},
           &Bars},
          {"PCI-LINK",
           Severity::kDegraded,
           "PCIe links have all lanes",
           "as many lanes as the board has",
           "Reseat the board or its riser cable, then look again.",
           "Fewer lanes than possible make a GPU slow, and often go before it fails.",
           {},
           &Link},
          {"PCI-D3",
           Severity::kDegraded,
           "No GPU is without power",
           "not D3cold",
           "Bind with vfio-manager, which keeps them awake; or write 0 to d3cold_allowed and on to "
           "power/control of the device.",
           "Some GPUs do not come back from D3cold.",
           {},
           &Power},
      }};
}

}  // namespace gpuhost::node_validator
