// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/each.h"

namespace gpuhost::node_validator {
namespace {

constexpr int64_t kMostPorts = 16;

Findings Values(const Facts& facts, Finding (*examine)(const Facts&, const KataRuntime&)) {
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    if (!runtime.config.ok()) return Skip("its configuration cannot be read");
    return examine(facts, runtime);
  });
}

Finding Guest(const Facts& facts, const KataRuntime& runtime) {
  if (facts.workload == Workload::kPassthrough) {
    return runtime.Confidential() ? Fail("confidential_guest = true", runtime.config_file)
                                  : Pass("no confidential guest", runtime.config_file);
  }
  if (!runtime.Confidential()) return Fail("confidential_guest is not true", runtime.config_file);
  if (facts.Amd() && !runtime.ForSnp()) {
    return Fail("sev_snp_guest is not true", runtime.config_file);
  }
  if (facts.Intel() && runtime.ForSnp()) return Fail("sev_snp_guest = true", runtime.config_file);
  return Pass(facts.Amd() ? "SEV-SNP guest" : "TDX guest", runtime.config_file);
}

Finding ColdPlug(const Facts&, const KataRuntime& runtime) {
  const std::string cold = runtime.Text("cold_plug_vfio").value_or("no-port");
  const std::string hot = runtime.Text("hot_plug_vfio").value_or("no-port");
  const std::string seen = fmt::format("cold_plug_vfio {}, hot_plug_vfio {}", cold, hot);
  if (cold == "root-port" && hot == "no-port") return Pass(seen, runtime.config_file);
  return Fail(seen, runtime.config_file);
}

Finding Ports(const Facts& facts, const KataRuntime& runtime) {
  const int64_t ports = runtime.Number("pcie_root_port").value_or(0);
  const auto devices = static_cast<int64_t>(facts.devices.gpus.size());
  const std::string seen = fmt::format("pcie_root_port {}, {} devices", ports, devices);
  if (ports > kMostPorts) return Fail(seen, runtime.config_file);
  if (devices > kMostPorts || (ports != 0 && ports < devices)) {
    Finding finding = Fail(seen, runtime.config_file);
    finding.severity = Severity::kInfo;
    finding.expected = "0, or one for each GPU and NVSwitch that a pod may ask for";
    return finding;
  }
  return Pass(seen, runtime.config_file);
}

Finding SharedFiles(const Facts& facts, const KataRuntime& runtime) {
  const std::string seen = runtime.Text("shared_fs").value_or("(not set)");
  if (facts.workload == Workload::kPassthrough || seen == "none") {
    return Pass(seen, runtime.config_file);
  }
  return Fail("shared_fs = " + seen, runtime.config_file);
}

Finding Ready(const Facts& facts, const KataRuntime& runtime) {
  if (facts.workload == Workload::kPassthrough) return Skip("only for confidential guests");
  const std::string words = runtime.Text("kernel_params").value_or("");
  if (words.find("nvrc.smi.srs=1") != std::string::npos) {
    return Pass("nvrc.smi.srs=1", runtime.config_file);
  }
  return Fail("kernel_params has no nvrc.smi.srs=1", runtime.config_file);
}

Finding Socket(const Facts& facts, const KataRuntime& runtime) {
  const std::string seen = runtime.Text("pod_resource_api_sock").value_or("");
  if (!facts.kubelet.known.ok()) return Unknown("see KUBELET-RUN", runtime.config_file);
  const bool same = seen == facts.kubelet.socket ||
                    (!seen.empty() && runtime.pod_socket == facts.kubelet.real_socket);
  if (same) return Pass(seen, runtime.config_file);
  Finding finding =
      Fail(seen.empty() ? "pod_resource_api_sock is not set"
                        : fmt::format("{}, and the kubelet has {}", seen, facts.kubelet.socket),
           runtime.config_file);
  finding.expected = facts.kubelet.socket;
  finding.remedy = fmt::format(
      "Write a file {}/config.d/60-kubelet.toml with [runtime] and "
      "pod_resource_api_sock = \"{}\".",
      runtime.config_file.substr(0, runtime.config_file.rfind('/')), facts.kubelet.socket);
  return finding;
}

Finding Timeout(const Facts&, const KataRuntime& runtime) {
  const int64_t seconds = runtime.Number("create_container_timeout").value_or(0);
  const std::string seen = fmt::format("{} s", seconds);
  return seconds >= 1200 ? Pass(seen, runtime.config_file) : Fail(seen, runtime.config_file);
}

Finding Debug(const Facts&, const KataRuntime& runtime) {
  std::vector<std::string> on;
  for (const char* key : {"enable_debug", "debug_console_enabled"}) {
    bool is_on = runtime.Flag(key);
    for (const auto& [name, agent] : runtime.merged.TableAt({"agent"})) {
      is_on = is_on || agent.Bool({key}).value_or(false);
    }
    if (is_on) on.emplace_back(key);
  }
  return on.empty() ? Pass("off", runtime.config_file)
                    : Fail(Some(on) + " = true", runtime.config_file);
}

Finding HugePages(const Facts& facts, const KataRuntime& runtime) {
  if (!runtime.Flag("enable_hugepages")) return Skip("not asked for");
  const uint64_t needed = static_cast<uint64_t>(runtime.Number("default_memory").value_or(2048))
                          << 20;
  if (!facts.host.huge_pages_free)
    return Unknown("no huge pages in /proc/meminfo", "/proc/meminfo");
  const std::string seen =
      fmt::format("{} MiB of huge pages are free", *facts.host.huge_pages_free >> 20);
  return *facts.host.huge_pages_free >= needed ? Pass(seen, "/proc/meminfo")
                                               : Fail(seen, "/proc/meminfo");
}

template <Finding (*examine)(const Facts&, const KataRuntime&)>
Findings Of(const Facts& facts) {
  return Values(facts, examine);
}

}  // namespace

Group KataValueChecks() {
  return {
      "Kata's settings",
      {
          {"KATA-GUEST",
           Severity::kFatal,
           "Guests are confidential",
           "confidential_guest = true; on AMD sev_snp_guest = true",
           "Use the RuntimeClass of the right shim (qemu-nvidia-gpu-snp or -tdx), whose "
           "configuration has "
           "it; do not edit that of another.",
           "Table [hypervisor.qemu] after all drop-ins.",
           {"KATA-CONF"},
           &Of<Guest>},
          {"KATA-COLD",
           Severity::kFatal,
           "GPUs are there when the guest starts",
           "cold_plug_vfio = \"root-port\" and hot_plug_vfio not set",
           "Set cold_plug_vfio = \"root-port\" and remove hot_plug_vfio in a drop-in in config.d "
           "beside the "
           "configuration.",
           "Without it Kata asks nobody for the pod's GPUs; with both it refuses the "
           "configuration.",
           {"KATA-CONF"},
           &Of<ColdPlug>},
          {"KATA-PORTS",
           Severity::kFatal,
           "There are PCIe ports for the GPUs",
           "pcie_root_port at most 16",
           "Set pcie_root_port to 16 or less; confidential guests take 0, and Kata counts for "
           "itself.",
           "QEMU's machine has room for 16 root ports.",
           {"KATA-CONF"},
           &Of<Ports>},
          {"KATA-FS",
           Severity::kFatal,
           "The host shares no files with the guest",
           "shared_fs = \"none\"",
           "Set shared_fs = \"none\" in a drop-in in config.d beside the configuration.",
           "A confidential guest's memory cannot be shared with virtiofsd.",
           {"KATA-CONF", "KATA-GUEST"},
           &Of<SharedFiles>},
          {"KATA-SRS",
           Severity::kDegraded,
           "GPUs are set ready in the guest",
           "nvrc.smi.srs=1 in kernel_params",
           "Add nvrc.smi.srs=1 to kernel_params in a drop-in (with all words that are there, for "
           "it replaces "
           "them), or to the pod's annotation io.katacontainers.config.hypervisor.kernel_params.",
           "Until a GPU is set ready CUDA refuses to work. A guest that is attested does that "
           "itself.",
           {"KATA-CONF", "KATA-GUEST"},
           &Of<Ready>},
          {"KATA-SOCK",
           Severity::kFatal,
           "Kata asks the right kubelet",
           "pod_resource_api_sock is the kubelet's socket",
           "Set pod_resource_api_sock to the kubelet's socket in a drop-in in config.d.",
           "Kata learns from the kubelet which GPUs a pod was given. Distributions keep the "
           "kubelet's "
           "directory elsewhere (k0s, microk8s).",
           {"KATA-CONF"},
           &Of<Socket>},
          {"KATA-TIME",
           Severity::kDegraded,
           "Kata waits long enough",
           "create_container_timeout of 1200 s or more",
           "Set create_container_timeout = 1200 in a drop-in in config.d beside the configuration.",
           "Images are pulled inside the guest while a container is created.",
           {"KATA-CONF"},
           &Of<Timeout>},
          {"KATA-DEBUG",
           Severity::kDegraded,
           "No way into the guest is open",
           "enable_debug and debug_console_enabled are off",
           "Remove the debug drop-in (20-debug.toml), or set both to false.",
           "The debug console is a shell in the guest for whoever is root on the host.",
           {"KATA-CONF"},
           &Of<Debug>},
          {"HUGE",
           Severity::kFatal,
           "There are huge pages",
           "as many as the guest's memory, where enable_hugepages is true",
           "Reserve them (`sysctl vm.nr_hugepages=...`, or hugepages= at boot), or switch "
           "enable_hugepages "
           "off.",
           "Only where Kata's configuration asks for huge pages.",
           {"KATA-CONF"},
           &Of<HugePages>},
      }};
}

}  // namespace gpuhost::node_validator
