// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/iommu_words.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kParameter = "/sys/module/kvm_amd/parameters/sev_snp";

// Why nothing of SEV-SNP is asked here; empty: it is.
std::string NotHere(const Facts& facts) {
  if (facts.workload == Workload::kPassthrough) return "only for confidential guests";
  return facts.Amd() ? "" : "only on AMD";
}

Findings Flag(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  if (facts.host.processor->flags.contains("sev_snp")) return {Pass("sev_snp", "/proc/cpuinfo")};
  return {Fail("the processor shows no flag sev_snp", "/proc/cpuinfo")};
}

// A word of the command line that keeps the IOMMU from what SEV-SNP needs.
Findings Iommu(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const IommuWords words = ReadIommuWords(facts.host.command_line);
  std::vector<std::string> wrong = words.off;
  if (words.passthrough == true) wrong.push_back(words.passthrough_word);
  for (const std::string& word : {words.amd_off, words.amd_second_format}) {
    if (!word.empty() && std::ranges::count(wrong, word) == 0) wrong.push_back(word);
  }
  if (!wrong.empty()) {
    Finding finding = Fail(Some(wrong) + " on the kernel's command line", "/proc/cmdline");
    finding.remedy = fmt::format(
        "Remove {} from GRUB_CMDLINE_LINUX in /etc/default/grub, run `update-grub` and reboot.",
        Some(wrong));
    return {finding};
  }
  if (facts.host.passthrough_by_default && !words.passthrough) {
    Finding finding = Fail("the kernel is built with passthrough as its default",
                           fmt::format("/boot/config-{}", facts.host.release));
    finding.remedy =
        "Add iommu=nopt to GRUB_CMDLINE_LINUX in /etc/default/grub, run `update-grub` and reboot.";
    return {finding};
  }
  const std::string log = facts.host.kernel_log.value_or("");
  if (log.find("SNP: IOMMU disabled or configured in passthrough mode") != std::string::npos) {
    return {Fail("the kernel says: IOMMU disabled or in passthrough mode", "dmesg")};
  }
  if (log.find("IOMMU SNP feature not enabled") != std::string::npos) {
    Finding finding = Fail("the kernel says: IOMMU SNP feature not enabled", "dmesg");
    finding.remedy =
        "Enable IOMMU and SNP support in the firmware setup (AMD CBS, NBIO), or update the "
        "firmware.";
    return {finding};
  }
  return {Pass("it translates", "/proc/cmdline")};
}

Findings Parameter(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const auto& value = facts.tee.sev_snp;
  if (absl::IsNotFound(value.status())) {
    Finding finding = Fail("kvm_amd has no parameter sev_snp", kParameter);
    finding.remedy =
        "Load kvm_amd; if it is loaded, this kernel cannot host SEV-SNP guests: install 6.11 or "
        "newer.";
    return {finding};
  }
  if (!value.ok()) return {Unknown(Text(value.status()), kParameter)};
  if (IsOn(value)) return {Pass("Y", kParameter)};
  const std::string others =
      fmt::format("sev {}, sev_es {}", facts.tee.sev.value_or("?"), facts.tee.sev_es.value_or("?"));
  return {Fail(fmt::format("'{}' ({})", *value, others), kParameter)};
}

Findings Device(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const DeviceNode& node = facts.tee.sev_device;
  if (!node.present.ok()) return {Fail(Trouble(node.present, "/dev/sev"), "/dev/sev")};
  if (node.opens.ok()) return {Pass("/dev/sev opens", "/dev/sev")};
  if (!facts.host.superuser) return {Unknown("only root may open /dev/sev", "/dev/sev")};
  return {Unknown(Text(node.opens.status()), "/dev/sev")};
}

Findings Ids(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const auto& [total, used] = facts.tee.sev_es_ids;
  constexpr const char* kFile = "/sys/fs/cgroup/misc.capacity";
  if (!facts.tee.capacity_known) return {Unknown("the kernel has no misc controller", kFile)};
  if (!total || *total == 0) return {Fail("none for encrypted state (sev_es 0)", kFile)};
  const std::string seen = fmt::format("{} of {} in use", used.value_or(0), *total);
  if (used.value_or(0) < *total) return {Pass(seen, kFile)};
  Finding finding = Fail(seen, "/sys/fs/cgroup/misc.current");
  finding.expected = "one that is free";
  finding.remedy =
      "Stop a confidential guest, or raise their number in the firmware setup (minimum SEV non-ES "
      "ASID).";
  return {finding};
}

}  // namespace

Group SnpChecks() {
  return {
      "AMD SEV-SNP",
      {
          {"SNP-CPU",
           Severity::kFatal,
           "The firmware offers SEV-SNP",
           "flag sev_snp",
           "In the firmware setup (AMD CBS) enable SMEE, SEV-SNP support, SNP memory (RMP table) "
           "coverage and the IOMMU, and set the minimum SEV non-ES ASID above 1. Then power off "
           "and on.",
           "The flag is there when processor, firmware and memory encryption are ready for "
           "SEV-SNP. "
           "The kernel's log says where the RMP table is.",
           {"NESTED"},
           &Flag},
          {"SNP-IOMMU",
           Severity::kFatal,
           "The IOMMU translates",
           "neither iommu=pt nor another way to pass DMA through",
           "Boot without passthrough: remove iommu=pt or iommu.passthrough=1 from the kernel's "
           "command "
           "line, or add iommu=nopt. Then reboot.",
           "With DMA passed through, the kernel prints \"SNP: IOMMU disabled or configured in "
           "passthrough mode, SNP cannot be supported\" and switches SEV-SNP off for hosts. Many "
           "tuning "
           "guides for GPUs ask for iommu=pt; on an SEV-SNP host it must not be there.",
           {"IOMMU-CMD"},
           &Iommu},
          {"SNP-PARAM",
           Severity::kFatal,
           "KVM has switched SEV-SNP on",
           "Y",
           "Set kvm_amd.sev=1 kvm_amd.sev_es=1 kvm_amd.sev_snp=1 on the kernel's command line and "
           "reboot; if it stays N, `dmesg | grep -i -e sev -e snp -e ccp` tells why.",
           "Kata reads this file to find out what the host protects guests with; anything but Y "
           "makes "
           "it refuse confidential_guest.",
           {"SNP-IOMMU", "SNP-CPU", "IOMMU-ON", "KVM-MOD"},
           &Parameter},
          {"SNP-DEV",
           Severity::kFatal,
           "The secure processor can be reached",
           "a character device /dev/sev",
           "Run `modprobe ccp`; if that fails, `dmesg | grep ccp` tells why: mostly a firmware "
           "that is "
           "too old.",
           "QEMU starts and measures SEV-SNP guests through /dev/sev.",
           {"SNP-PARAM", "SNP-CPU", "SNP-IOMMU"},
           &Device},
          {"SNP-ASID",
           Severity::kFatal,
           "There is an encryption key for another guest",
           "sev_es above 0, and fewer in use",
           "Raise the number of SEV-ES/SNP ASIDs: in the firmware setup set the minimum SEV non-ES "
           "ASID "
           "to a small value above 1. Then power off and on.",
           "Each SEV-SNP guest needs an ASID of the SEV-ES range. The numbers are those of the "
           "misc "
           "cgroup controller.",
           {"SNP-PARAM", "SNP-CPU", "SNP-IOMMU"},
           &Ids},
      }};
}

}  // namespace gpuhost::node_validator
