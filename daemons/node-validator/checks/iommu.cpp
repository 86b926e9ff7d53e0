// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/iommu_words.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

Findings CommandLine(const Facts& facts) {
  const IommuWords words = ReadIommuWords(facts.host.command_line);
  std::vector<std::string> off = words.off;
  if (!words.amd_off.empty() && !facts.Intel()) off.push_back(words.amd_off);
  if (!words.intel_off.empty() && !facts.Amd()) off.push_back(words.intel_off);
  if (!off.empty()) return {Fail(Some(off) + " switches it off", "/proc/cmdline")};
  if (facts.Intel() && !words.intel_on && facts.devices.iommus.empty()) {
    return {Fail("intel_iommu=on is not there, and it is not on by default", "/proc/cmdline")};
  }
  return {Pass("nothing switches it off", "/proc/cmdline")};
}

Findings IommuOn(const Facts& facts) {
  const size_t groups = facts.devices.groups;
  if (groups == 0) return {Fail("no IOMMU groups", "/sys/kernel/iommu_groups")};
  const auto& iommus = facts.devices.iommus;
  const bool known = std::ranges::any_of(iommus, [](const std::string& name) {
    return name.starts_with("dmar") || name.starts_with("ivhd") || name.starts_with("smmu");
  });
  if (!known) return {Fail(fmt::format("{} groups, and no IOMMU", groups), "/sys/class/iommu")};
  return {Pass(fmt::format("{} groups", groups), "/sys/kernel/iommu_groups")};
}

Findings NoIommuMode(const Facts& facts) {
  constexpr const char* kFile = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
  if (facts.devices.noiommu_nodes)
    return {Fail("there are /dev/vfio/noiommu-* nodes", "/dev/vfio")};
  const auto& mode = facts.devices.noiommu_mode;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (gpu.group_name == "vfio-noiommu") {
      return {Fail(fmt::format("{} is bound without IOMMU", gpu.device.bdf), kFile)};
    }
  }
  if (absl::IsNotFound(mode.status())) return {Pass("vfio knows no such mode", kFile)};
  if (!mode.ok()) return {Unknown(Text(mode.status()), kFile)};
  return {mode->starts_with('N') ? Pass("off", kFile) : Fail("it is on", kFile)};
}

Findings Iommufd(const Facts& facts) {
  const bool needed = facts.workload == Workload::kConfidential;
  const auto config = [&](const std::string& name) {
    const auto found = facts.host.config.find(name);
    return found == facts.host.config.end() ? std::string() : found->second;
  };
  const std::string file = fmt::format("/boot/config-{}", facts.host.release);
  const auto& node = facts.devices.iommufd;
  if (node.present.ok()) {
    return {node.opens.ok() || !facts.host.superuser
                ? Pass("/dev/iommu", "/dev/iommu")
                : Unknown(Text(node.opens.status()), "/dev/iommu")};
  }
  Finding finding = Fail("no /dev/iommu", "/dev/iommu");
  if (!needed) finding.severity = Severity::kInfo;
  const bool built = config("CONFIG_IOMMUFD") == "y" || config("CONFIG_IOMMUFD") == "m";
  if (!facts.host.config.contains("CONFIG_IOMMUFD") && facts.host.config.size() > 1) {
    finding.observed = "this kernel is built without CONFIG_IOMMUFD";
    finding.evidence = file;
    finding.remedy =
        "Install a kernel with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV: Ubuntu 25.10 and 26.04 "
        "have one, Debian 12 (6.1) has not.";
  } else if (built && config("CONFIG_VFIO_DEVICE_CDEV") != "y") {
    finding.observed = "this kernel is built without CONFIG_VFIO_DEVICE_CDEV";
    finding.evidence = file;
  }
  return {finding};
}

Findings Modules(const Facts& facts) {
  std::vector<std::string> missing;
  for (const char* name : {"vfio", "vfio_pci"}) {
    if (!facts.host.modules.contains(name)) missing.emplace_back(name);
  }
  const bool backend =
      facts.host.modules.contains("iommufd") || facts.host.modules.contains("vfio_iommu_type1");
  if (!backend) missing.emplace_back("iommufd or vfio_iommu_type1");
  if (!missing.empty()) return {Fail("not loaded: " + Some(missing), "/proc/modules")};
  return {Pass("vfio, vfio_pci", "/proc/modules")};
}

Findings AcsOverride(const Facts& facts) {
  for (const std::string& word : facts.host.command_line) {
    if (word.starts_with("pcie_acs_override=")) return {Fail(word, "/proc/cmdline")};
  }
  return {Pass("not overridden", "/proc/cmdline")};
}

}  // namespace

Group IommuChecks() {
  return {
      "IOMMU and VFIO",
      {
          {"IOMMU-CMD",
           Severity::kFatal,
           "The kernel may use the IOMMU",
           "intel_iommu=on on Intel, and nothing that switches it off",
           "Edit GRUB_CMDLINE_LINUX in /etc/default/grub: remove what switches the IOMMU off, add "
           "intel_iommu=on (Intel) or amd_iommu=on (AMD). Then run `update-grub` and reboot.",
           "AMD's is on by default; Intel's depends on how the kernel was built.",
           {},
           &CommandLine},
          {"IOMMU-ON",
           Severity::kFatal,
           "The kernel runs an IOMMU",
           "/sys/kernel/iommu_groups has 0, 1 and so on",
           "Enable the IOMMU in the firmware setup (AMD: IOMMU under AMD CBS, NBIO; Intel: VT-d), "
           "and "
           "boot with intel_iommu=on or amd_iommu=on.",
           "Without an IOMMU no device can be given to a virtual machine: `ls "
           "/sys/kernel/iommu_groups` "
           "is the first test of NVIDIA's guide.",
           {"IOMMU-CMD"},
           &IommuOn},
          {"NO-NOIOMMU",
           Severity::kFatal,
           "VFIO insists on an IOMMU",
           "enable_unsafe_noiommu_mode N",
           "Remove enable_unsafe_noiommu_mode from /etc/modprobe.d and from the kernel's command "
           "line, "
           "then reboot.",
           "In that mode a device reaches all memory of the host.",
           {"IOMMU-ON", "IOMMU-CMD"},
           &NoIommuMode},
          {"IOMMUFD",
           Severity::kFatal,
           "The kernel has iommufd",
           "a character device /dev/iommu",
           "Run `modprobe iommufd`; if there is no such module, install a kernel with "
           "CONFIG_IOMMUFD and "
           "CONFIG_VFIO_DEVICE_CDEV.",
           "Kata refuses any other way for confidential guests: \"ConfidentialGuest needs "
           "IOMMUFD\".",
           {},
           &Iommufd},
          {"VFIO-MODS",
           Severity::kFatal,
           "VFIO is loaded",
           "vfio, vfio_pci, and iommufd or vfio_iommu_type1",
           "Run `modprobe -a vfio_pci iommufd`; gpuhost's package loads them at boot "
           "(modules-load.d/gpuhost.conf).",
           "vfio_pci is the driver that hands a GPU to a virtual machine.",
           {},
           &Modules},
          {"ACS-OVERRIDE",
           Severity::kFatal,
           "IOMMU groups are the hardware's",
           "no pcie_acs_override on the kernel's command line",
           "Remove pcie_acs_override from GRUB_CMDLINE_LINUX, run `update-grub`, reboot; then see "
           "ACS and "
           "GROUP-ISO.",
           "That patch splits groups which the hardware does not keep apart: a guest could reach "
           "its "
           "neighbour's device.",
           {},
           &AcsOverride},
      }};
}

}  // namespace gpuhost::node_validator
