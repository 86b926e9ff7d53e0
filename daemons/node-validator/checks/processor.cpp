// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

bool Has(const Facts& facts, const std::string& flag) {
  return facts.host.processor.ok() && facts.host.processor->flags.contains(flag);
}

Findings Virtualization(const Facts& facts) {
  const auto& processor = facts.host.processor;
  if (!processor.ok()) return {Unknown(Text(processor.status()), "/proc/cpuinfo")};
  const std::string flag = Has(facts, "svm") ? "svm" : Has(facts, "vmx") ? "vmx" : "";
  const std::string model = processor->model.empty() ? processor->vendor : processor->model;
  if (flag.empty()) return {Fail(model + " without vmx or svm", "/proc/cpuinfo")};
  return {Pass(fmt::format("{}, {}", model, flag), "/proc/cpuinfo")};
}

Findings BareMetal(const Facts& facts) {
  if (!facts.host.processor.ok()) return {Unknown("the processor is not known", "/proc/cpuinfo")};
  if (!Has(facts, "hypervisor")) return {Pass("no hypervisor below", "/proc/cpuinfo")};
  Finding finding = Fail("this machine is itself a virtual machine", "/proc/cpuinfo");
  if (facts.workload == Workload::kPassthrough) {
    finding.severity = Severity::kDegraded;
    finding.remedy =
        "Use a bare-metal machine, or give this one nested virtualization and a virtual IOMMU.";
  }
  return {finding};
}

Findings KvmModule(const Facts& facts) {
  const auto& modules = facts.host.modules;
  const std::string vendor = facts.Intel() ? "kvm_intel" : "kvm_amd";
  if (!modules.contains("kvm")) return {Fail("kvm is not loaded", "/sys/module/kvm")};
  if (!modules.contains(vendor)) {
    return {Fail(fmt::format("kvm is there, {} is not", vendor), "/sys/module/" + vendor)};
  }
  return {Pass("kvm, " + vendor, "/sys/module/" + vendor)};
}

Findings KvmDevice(const Facts& facts) {
  const Host& host = facts.host;
  if (!host.kvm.present.ok()) return {Fail(Trouble(host.kvm.present, "/dev/kvm"), "/dev/kvm")};
  if (absl::IsPermissionDenied(host.kvm_version.status()) && !host.superuser) {
    return {Unknown("only root may open /dev/kvm", "/dev/kvm")};
  }
  if (!host.kvm_version.ok()) return {Unknown(Text(host.kvm_version.status()), "/dev/kvm")};
  if (*host.kvm_version != "12") return {Fail("it has version " + *host.kvm_version, "/dev/kvm")};
  return {Pass("/dev/kvm answers", "/dev/kvm")};
}

Findings Vhost(const Facts& facts) {
  std::vector<std::string> wrong, loaded_later;
  const auto look = [&](const DeviceNode& node, const std::string& module,
                        const std::string& path) {
    const bool loaded = facts.host.modules.contains(module);
    if (node.present.ok() && loaded) return;
    if (!node.present.ok()) {
      wrong.push_back(Trouble(node.present, path));
    } else if (facts.host.loadable.contains(module)) {
      loaded_later.push_back(module);
    } else {
      wrong.push_back(fmt::format("{} is a node without its module {}", path, module));
    }
  };
  look(facts.host.vhost_vsock, "vhost_vsock", "/dev/vhost-vsock");
  look(facts.host.vhost_net, "vhost_net", "/dev/vhost-net");
  if (!wrong.empty()) return {Fail(Some(wrong), "/proc/modules")};
  if (!loaded_later.empty()) {
    return {Pass(Some(loaded_later) + ": will be loaded when opened", "/lib/modules")};
  }
  return {Pass("vhost_net, vhost_vsock", "/proc/modules")};
}

Findings Vmci(const Facts& facts) {
  const std::string module = "vmw_vsock_vmci_transport";
  if (!facts.host.modules.contains(module)) return {Pass("nothing in the way", "/proc/modules")};
  return {Fail(module + " is loaded", "/proc/modules")};
}

Findings Kernel(const Facts& facts) {
  const Version version = FindVersion(facts.host.release + ".0");
  const std::string evidence = "/proc/sys/kernel/osrelease";
  if (version.major == 0) return {Unknown("the kernel's release is not known", evidence)};
  const std::string seen =
      facts.host.release + (facts.host.os.empty() ? std::string() : ", " + facts.host.os);
  const Version wanted = facts.workload == Workload::kPassthrough ? Version{5, 15, 0}
                         : facts.Intel()                          ? Version{6, 16, 0}
                                                                  : Version{6, 11, 0};
  if (version >= wanted) return {Pass(seen, evidence)};
  Finding finding = Fail(seen, evidence);
  finding.expected = fmt::format("{}.{} or newer, or a distribution's kernel with that added",
                                 wanted.major, wanted.minor);
  return {finding};
}

Findings Memory(const Facts& facts) {
  if (!facts.host.memory_free) return {Unknown("no MemAvailable", "/proc/meminfo")};
  constexpr uint64_t kNeeded = 18ull << 30;
  const std::string seen = fmt::format("{} GiB free", *facts.host.memory_free >> 30);
  if (*facts.host.memory_free >= kNeeded) return {Pass(seen, "/proc/meminfo")};
  return {Fail(seen, "/proc/meminfo")};
}

}  // namespace

Group ProcessorChecks() {
  return {
      "Processor and KVM",
      {
          {"CPU-VIRT",
           Severity::kFatal,
           "The processor runs virtual machines",
           "flag svm (AMD) or vmx (Intel)",
           "Enable virtualization in the firmware setup (AMD: SVM mode; Intel: VT-x), then power "
           "the "
           "machine off and on.",
           "Kata runs each pod in a virtual machine of its own. Read from the flags of the first "
           "processor.",
           {"NESTED"},
           &Virtualization},
          {"NESTED",
           Severity::kFatal,
           "This is a machine, not a virtual one",
           "no flag hypervisor",
           "Use a bare-metal machine: SEV-SNP and TDX guests cannot run inside a guest.",
           "A processor shows the flag `hypervisor` to the guest of a virtual machine only.",
           {},
           &BareMetal},
          {"KERNEL",
           Severity::kDegraded,
           "The kernel is new enough",
           "6.11 (SEV-SNP), 6.16 (TDX) or newer",
           "Install a newer kernel; NVIDIA's guide uses Ubuntu 25.10 or 26.04 with their own "
           "kernels.",
           "Hosting SEV-SNP guests is in Linux since 6.11, TDX guests since 6.16; VFIO character "
           "devices since 6.6. Distributions add these to older kernels, so this alone stops "
           "nobody.",
           {},
           &Kernel},
          {"KVM-MOD",
           Severity::kFatal,
           "KVM is loaded",
           "kvm and kvm_amd or kvm_intel",
           "Run `modprobe kvm_amd` or `modprobe kvm_intel`. If it says \"not supported\", "
           "virtualization is off in the firmware setup.",
           "Loaded and built-in modules are both in /sys/module.",
           {"CPU-VIRT"},
           &KvmModule},
          {"KVM-DEV",
           Severity::kFatal,
           "/dev/kvm answers",
           "a character device with API version 12",
           "Run `modprobe kvm_amd` or `kvm_intel`; if the node is still missing, `udevadm trigger "
           "/dev/kvm`. In a container, mount the host's /dev.",
           "Asked by ioctl KVM_GET_API_VERSION, which changes nothing.",
           {"KVM-MOD", "CPU-VIRT"},
           &KvmDevice},
          {"VHOST",
           Severity::kFatal,
           "Host and guest can talk",
           "/dev/vhost-vsock and /dev/vhost-net with their modules",
           "Run `modprobe -a vhost_vsock vhost_net`, and to keep it: `printf "
           "'vhost_vsock\\nvhost_net\\n' > /etc/modules-load.d/kata.conf`.",
           "Kata's shim speaks to the agent in the guest over vsock. The nodes may be there "
           "without "
           "the modules, so modules count. They are not opened, for that would load them.",
           {},
           &Vhost},
          {"VSOCK-CONFLICT",
           Severity::kDegraded,
           "Nobody else has vsock",
           "no module vmw_vsock_vmci_transport",
           "Run `rmmod vmw_vsock_vmci_transport` and blacklist it in /etc/modprobe.d, unless this "
           "is "
           "a VMware guest.",
           "On older kernels VMware's transport takes vsock for itself, and Kata's guests get "
           "none.",
           {},
           &Vmci},
          {"MEMFREE",
           Severity::kDegraded,
           "There is memory for one guest",
           "18 GiB free: 8 GiB base and 10 GiB overhead of the RuntimeClass",
           "Free memory, or lower default_memory in Kata's configuration and the RuntimeClass's "
           "overhead. A pod's own limit comes on top.",
           "All memory of a confidential guest is pinned when it starts, and cannot be swapped.",
           {},
           &Memory},
      }};
}

}  // namespace gpuhost::node_validator
