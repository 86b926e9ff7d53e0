// SPDX-License-Identifier: Apache-2.0
#include <sstream>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kParameter = "/sys/module/kvm_intel/parameters/tdx";

std::string NotHere(const Facts& facts) {
  if (facts.workload == Workload::kPassthrough) return "only for confidential guests";
  return facts.Intel() ? "" : "only on Intel";
}

Findings Flags(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  std::vector<std::string> missing;
  for (const char* flag : {"tdx_host_platform", "movdir64b", "ss"}) {
    if (!facts.host.processor->flags.contains(flag)) missing.push_back(flag);
  }
  if (missing.empty()) return {Pass("tdx_host_platform", "/proc/cpuinfo")};
  return {Fail("flags are missing: " + Some(missing), "/proc/cpuinfo")};
}

enum class LastWord { kNone, kStarted, kFailed };

// Of the kernel's own part for TDX; other drivers have modules and failures, too, and a kernel may
// tell the version of its SEAM loader. Source: Linux 6.16, arch/x86/virt/vmx/tdx/tdx.c.
LastWord LastWordIn(const std::string& log) {
  LastWord last = LastWord::kNone;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const auto has = [&](const char* words) { return line.find(words) != std::string::npos; };
    if (!has("virt/tdx: ")) continue;
    if (has("initialization failed") || has("module not loaded") ||
        has("too few private KeyIDs available") || (has("SEAMLDR") && has("failed"))) {
      last = LastWord::kFailed;
    }
    if (has("module initialized")) last = LastWord::kStarted;
  }
  return last;
}

Findings Log(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const auto& log = facts.host.kernel_log;
  if (!log.ok() && IsOn(facts.tee.tdx)) return {Pass("KVM has switched TDX on", kParameter)};
  if (!log.ok()) return {Unknown(Text(log.status()), "dmesg")};
  if (log->find("no TDX private KeyIDs available") != std::string::npos) {
    Finding finding = Fail("the kernel says: no TDX private KeyIDs available", "dmesg");
    finding.remedy =
        "In the firmware setup enable TME-MT and give TDX some of its keys (split of TME-MT/TDX "
        "keys).";
    return {finding};
  }
  const LastWord last = LastWordIn(*log);
  if (last == LastWord::kFailed) {
    return {Fail("the kernel says that TDX's module could not be started", "dmesg")};
  }
  if (last == LastWord::kStarted) return {Pass("module initialized", "dmesg")};
  return {Pass("nothing against it (the log may have wrapped)", "dmesg")};
}

Findings Parameter(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const auto& value = facts.tee.tdx;
  if (absl::IsNotFound(value.status())) {
    Finding finding = Fail("kvm_intel has no parameter tdx", kParameter);
    finding.remedy =
        "Load kvm_intel; if it is loaded, this kernel cannot host TDX guests: install 6.16 or "
        "newer.";
    return {finding};
  }
  if (!value.ok()) return {Unknown(Text(value.status()), kParameter)};
  // Kata and node-feature-discovery want this letter.
  return {value->starts_with('Y') ? Pass("Y", kParameter)
                                  : Fail(fmt::format("'{}'", *value), kParameter)};
}

Findings Keys(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  const auto& [total, used] = facts.tee.tdx_keys;
  constexpr const char* kFile = "/sys/fs/cgroup/misc.capacity";
  if (!facts.tee.capacity_known) return {Unknown("the kernel has no misc controller", kFile)};
  if (!total || *total == 0) return {Fail("no key for a guest (tdx 0)", kFile)};
  const std::string seen = fmt::format("{} of {} in use", used.value_or(0), *total);
  if (used.value_or(0) < *total) return {Pass(seen, kFile)};
  Finding finding = Fail(seen, "/sys/fs/cgroup/misc.current");
  finding.remedy = "Stop a confidential guest, or give TDX more keys in the firmware setup.";
  return {finding};
}

Findings Quotes(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  for (const KataRuntime* runtime : facts.Runtimes()) {
    const auto port = runtime->Number("tdx_quote_generation_service_socket_port");
    if (port.value_or(0) != 0) {
      return {Unknown(fmt::format("Kata uses vsock port {}, which cannot be looked at", *port),
                      runtime->config_file)};
    }
  }
  constexpr const char* kSocket = "/var/run/tdx-qgs/qgs.socket";
  if (!facts.tee.quote_socket) {
    std::string seen = "no socket of the quote generation service";
    if (!facts.tee.sgx_enclave || !facts.tee.sgx_provision) seen += ", and no SGX devices";
    return {Fail(seen, kSocket)};
  }
  const auto& answers = facts.tee.quote_socket_answers;
  if (answers.ok()) return {Pass("it listens", kSocket)};
  if (absl::IsPermissionDenied(answers.status())) return {Unknown(Text(answers.status()), kSocket)};
  return {Fail(Text(answers.status()), kSocket)};
}

Findings Mappings(const Facts& facts) {
  if (const auto why = NotHere(facts); !why.empty()) return {Skip(why)};
  if (facts.devices.iommufd.present.ok()) return {Pass("iommufd has no such limit", "/dev/iommu")};
  constexpr const char* kFile = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
  const auto limit = facts.devices.dma_entry_limit;
  if (!limit) return {Unknown("the limit is not known", kFile)};
  return {*limit > 65535 ? Pass(fmt::format("{}", *limit), kFile)
                         : Fail(fmt::format("{} mappings", *limit), kFile)};
}

}  // namespace

Group TdxChecks() {
  return {"Intel TDX",
          {
              {"TDX-CPU",
               Severity::kFatal,
               "The firmware offers TDX",
               "flags tdx_host_platform, movdir64b and ss",
               "In the firmware setup enable memory encryption (TME, TME-MT), TDX, the SEAM loader "
               "and SGX. "
               "Then power off and on.",
               "tdx_host_platform appears when the firmware has set keys aside for TDX.",
               {"NESTED"},
               &Flags},
              {"TDX-LOG",
               Severity::kFatal,
               "The kernel has started TDX's module",
               "nothing against it in the kernel's log",
               "Update the firmware and TDX's module; `dmesg | grep -i tdx` tells more.",
               "The kernel says \"virt/tdx: module initialized\", or why not. The log is a ring: "
               "what is no "
               "longer in it says nothing.",
               {"TDX-CPU"},
               &Log},
              {"TDX-PARAM",
               Severity::kFatal,
               "KVM has switched TDX on",
               "Y",
               "Add kvm_intel.tdx=1 to the kernel's command line, or `options kvm_intel tdx=1` to "
               "/etc/modprobe.d/kvm.conf, and reboot.",
               "Kata reads this file to find out what the host protects guests with.",
               {"TDX-CPU", "TDX-LOG", "KVM-MOD"},
               &Parameter},
              {"TDX-KEYS",
               Severity::kFatal,
               "There is an encryption key for another guest",
               "tdx above 0, and fewer in use",
               "Give TDX more keys in the firmware setup (split of TME-MT/TDX keys).",
               "Each TDX guest needs a key of its own. The numbers are those of the misc cgroup "
               "controller.",
               {"TDX-PARAM", "TDX-CPU", "TDX-LOG"},
               &Keys},
              {"TDX-QGS",
               Severity::kDegraded,
               "Guests can be attested",
               "the quote generation service listens",
               "Install and start Intel's quote generation service (`systemctl enable --now "
               "qgsd`), and set "
               "up its PCCS in /etc/sgx_default_qcnl.conf.",
               "Guests start without it, and fail as soon as they must prove what they are.",
               {"TDX-CPU"},
               &Quotes},
              {"TDX-MAPS",
               Severity::kDegraded,
               "Enough DMA mappings",
               "iommufd, or dma_entry_limit above 65535",
               "Use a kernel with iommufd, or add `options vfio_iommu_type1 "
               "dma_entry_limit=1000000` to "
               "/etc/modprobe.d/vfio.conf and reboot.",
               "Through VFIO's groups a TDX guest's memory is mapped in small pieces, more than "
               "are allowed "
               "by default (VFIO_MAP_DMA: no space).",
               {"IOMMUFD"},
               &Mappings},
          }};
}

}  // namespace gpuhost::node_validator
