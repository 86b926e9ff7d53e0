// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr double kEnough = 600, kDefault = 120;

Findings Runs(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (kubelet.process)
    return {Pass(fmt::format("pid {}", kubelet.process->pid), kubelet.process->program)};
  if (!kubelet.embedded_in.empty()) return {Pass("a part of " + kubelet.embedded_in, "/proc")};
  return {Fail("no process kubelet", "/proc")};
}

Findings Readable(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (!kubelet.embedded_in.empty()) {
    return {Skip(kubelet.embedded_in + " keeps it to itself; ask the API server for configz")};
  }
  if (absl::IsNotFound(kubelet.readable)) {
    return kubelet.process ? Findings{Unknown("no file " + kubelet.config, kubelet.config)}
                           : Findings{Skip("no kubelet")};
  }
  if (!kubelet.readable.ok()) return {Fail(Text(kubelet.readable), kubelet.config)};
  return {Pass(Some(kubelet.files), kubelet.config)};
}

Findings RequestTimeout(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (kubelet.files.empty() && kubelet.timeout_from.empty()) {
    return {Unknown("the kubelet's configuration is not known", kubelet.config)};
  }
  const Value* value = kubelet.merged.Find({"runtimeRequestTimeout"});
  const std::string evidence = kubelet.timeout_from.empty() ? kubelet.config : kubelet.timeout_from;
  const std::string text = value == nullptr                                    ? ""
                           : value->AsText() != nullptr                        ? *value->AsText()
                           : kubelet.merged.Integer({"runtimeRequestTimeout"}) ? "0"
                                                                               : "?";
  const auto seconds = text.empty() ? std::optional(0.0) : ParseGoDuration(text);
  if (!seconds) return {Fail(fmt::format("'{}' is no duration", text), evidence)};
  const double effective = *seconds == 0 ? kDefault : *seconds;
  const std::string seen = *seconds == 0 ? "the default, 2m" : text;
  if (effective >= kEnough) return {Pass(seen, evidence)};
  Finding finding = Fail(seen, evidence);
  if (effective > 300) finding.severity = Severity::kInfo;
  return {finding};
}

// The kubelet's version, or empty words where it is not known.
std::string VersionText(const KubeletFacts& kubelet) {
  return kubelet.version.major == 0 ? "" : "Kubernetes " + ToString(kubelet.version);
}

// Of what the kubelet answered: "disabled", or that it has no such method.
bool SaysOff(const std::string& answer) {
  return answer.find("disabled") != std::string::npos ||
         answer.find("nknown method") != std::string::npos ||
         answer.find("status 12") != std::string::npos;
}

Findings Gates(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  const auto gate = [&](std::string_view name) {
    return kubelet.merged.Bool({"featureGates", name});
  };
  if (gate("KubeletPodResources") == false) {
    return {Fail("KubeletPodResources is off", kubelet.config)};
  }
  const auto get = gate("KubeletPodResourcesGet");
  if (get) {
    return {*get ? Pass("KubeletPodResourcesGet is on", kubelet.config)
                 : Fail("KubeletPodResourcesGet is off", kubelet.config)};
  }
  if (kubelet.version.major == 0) {
    // From a container its version cannot be asked for, but its answer tells.
    const auto& answer = kubelet.pod_resources_get;
    if (answer.ok() && !SaysOff(*answer)) return {Pass("the kubelet answers", kubelet.socket)};
    return {Unknown("the kubelet's version is not known", kubelet.config)};
  }
  if (kubelet.version >= Version{1, 34, 0}) {
    return {Pass("on by default in " + VersionText(kubelet), kubelet.config)};
  }
  return {
      Fail(VersionText(kubelet) + " has KubeletPodResourcesGet off by default", kubelet.config)};
}

Findings ImageGate(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (kubelet.files.empty())
    return {Unknown("the kubelet's configuration is not known", kubelet.config)};
  const bool on =
      kubelet.merged.Bool({"featureGates", "RuntimeClassInImageCriApi"}).value_or(false);
  return {on ? Pass("on", kubelet.config)
             : Fail("RuntimeClassInImageCriApi is off", kubelet.config)};
}

Findings KubernetesVersion(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (kubelet.version.major == 0) return {Unknown("the kubelet was not asked", kubelet.config)};
  const std::string evidence = kubelet.process ? kubelet.process->program : kubelet.config;
  return {kubelet.version >= Version{1, 32, 0} ? Pass(VersionText(kubelet), evidence)
                                               : Fail(VersionText(kubelet), evidence)};
}

Findings Cgroups(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (kubelet.files.empty() || facts.containerd.files.empty()) {
    return {Skip("one of the two configurations is not known")};
  }
  const auto set = kubelet.merged.Text({"cgroupDriver"});
  // KubeletCgroupDriverFromCRI is on from 1.31; containerd tells from 2.0.
  const bool told = facts.containerd.version.major >= 2 &&
                    kubelet.merged.Bool({"featureGates", "KubeletCgroupDriverFromCRI"})
                        .value_or(kubelet.version >= Version{1, 31, 0});
  if (!set && told) return {Pass("the kubelet asks containerd", kubelet.config)};
  const std::string driver = set.value_or("cgroupfs");
  const std::string other = facts.containerd.systemd_cgroups ? "systemd" : "cgroupfs";
  if (driver == other) return {Pass(driver, kubelet.config)};
  return {Fail(fmt::format("kubelet {}, containerd's runc {}", driver, other), kubelet.config)};
}

Findings PodResources(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  if (!kubelet.process && kubelet.embedded_in.empty()) return {Skip("no kubelet")};
  if (!kubelet.socket_there) return {Fail("no socket", kubelet.socket)};
  const auto& answer = kubelet.pod_resources_get;
  if (!answer.ok()) {
    if (!facts.host.superuser) return {Unknown("only root may ask there", kubelet.socket)};
    return {Unknown(Text(answer.status()), kubelet.socket)};
  }
  if (SaysOff(*answer)) return {Fail("the kubelet says: " + *answer, kubelet.socket)};
  return {Pass("Get is on", kubelet.socket)};
}

Findings Plugin(const Facts& facts) {
  const KubeletFacts& kubelet = facts.kubelet;
  const std::string file = kubelet.root + "/device-plugins/kubelet_internal_checkpoint";
  if (!kubelet.process && kubelet.embedded_in.empty()) return {Skip("no kubelet")};
  if (absl::IsNotFound(kubelet.registered.status())) {
    return {Fail("no device plugin has ever registered", file)};
  }
  if (!kubelet.registered.ok()) return {Unknown(Text(kubelet.registered.status()), file)};
  size_t bound = 0, offered = 0;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (gpu.device.kind() == pci::Kind::kGpu && gpu.device.BoundToVfio()) ++bound;
  }
  std::vector<std::string> names;
  for (const auto& [resource, ids] : *kubelet.registered) {
    if (!resource.starts_with("nvidia.com/") || resource.find("nvswitch") != std::string::npos)
      continue;
    if (resource == "nvidia.com/gpu" || resource.starts_with("nvidia.com/mig-")) continue;
    offered += ids.size();
    names.push_back(fmt::format("{}: {}", resource, ids.size()));
  }
  if (offered == 0) return {Fail("no resource of nvidia.com with a device", file)};
  if (offered == bound) return {Pass(Some(names), file)};
  Finding finding = Fail(fmt::format("{} for {} GPUs on VFIO", Some(names), bound), file);
  finding.severity = Severity::kDegraded;
  return {finding};
}

}  // namespace

Group KubeletChecks() {
  return {
      "kubelet",
      {
          {"KUBELET-RUN",
           Severity::kFatal,
           "The kubelet runs",
           "a process kubelet, or of k3s, rke2, k0s, microk8s",
           "Run `systemctl enable --now kubelet`; `journalctl -u kubelet -e` tells why it stopped.",
           "Without a kubelet this node has no pods.",
           {"KUBELET-CONF"},
           &Runs},
          {"KUBELET-CONF",
           Severity::kDegraded,
           "The kubelet's configuration can be read",
           "the file of --config, and *.conf of --config-dir",
           "Correct the file at the place that is named, and run `systemctl restart kubelet`.",
           "Both are found by the kubelet's command line, whose flags count more than files.",
           {},
           &Readable},
          {"KUBELET-VER",
           Severity::kDegraded,
           "Kubernetes is new enough",
           "1.32 or newer",
           "Upgrade to Kubernetes 1.34, which was tried with confidential containers.",
           "Asked from the kubelet by --version.",
           {},
           &KubernetesVersion},
          {"KUBELET-TIME",
           Severity::kDegraded,
           "The kubelet waits long enough",
           "runtimeRequestTimeout of 10m or more; NVIDIA's guide says 20m",
           "Set `runtimeRequestTimeout: 20m` in the kubelet's configuration and run `systemctl "
           "restart "
           "kubelet`.",
           "Guests pin their memory and pull images while the kubelet waits. After two minutes, "
           "the default, "
           "it gives up and starts anew: the pod never comes up, without any other error.",
           {"KUBELET-CONF"},
           &RequestTimeout},
          {"KUBELET-GATE",
           Severity::kFatal,
           "Kata may ask for a pod's devices",
           "feature gate KubeletPodResourcesGet, on by default from 1.34",
           "Set `featureGates: {KubeletPodResourcesGet: true}` in the kubelet's configuration and "
           "run "
           "`systemctl restart kubelet`.",
           "Kata gets a pod's GPUs by method Get of pod-resources: \"PodResources API Get method "
           "disabled\".",
           {"KUBELET-CONF"},
           &Gates},
          {"KUBELET-IMAGE",
           Severity::kInfo,
           "Images are pulled for their runtime class",
           "feature gate RuntimeClassInImageCriApi",
           "Set `featureGates: {RuntimeClassInImageCriApi: true}` if pods of other runtimes use "
           "the same "
           "images.",
           "Without it an image is pulled once for all runtime classes, with one snapshotter.",
           {"KUBELET-CONF"},
           &ImageGate},
          {"KUBELET-CGROUP",
           Severity::kDegraded,
           "kubelet and containerd agree on cgroups",
           "cgroupDriver systemd with SystemdCgroup = true, or neither",
           "Set SystemdCgroup = true in containerd's options of runc, and cgroupDriver: systemd in "
           "the "
           "kubelet's configuration.",
           "Two managers of one tree of cgroups fail under load.",
           {"KUBELET-CONF", "CTR-CONF"},
           &Cgroups},
          {"PODRES",
           Severity::kFatal,
           "The kubelet answers Kata's question",
           "pod-resources/kubelet.sock with method Get",
           "Switch the feature gate KubeletPodResourcesGet on (see KUBELET-GATE); if there is no "
           "socket, "
           "restart the kubelet.",
           "A pod that does not exist is asked for. Any answer but \"disabled\" says that the "
           "method is on.",
           {"KUBELET-GATE", "KUBELET-RUN"},
           &PodResources},
          {"PLUGIN",
           Severity::kFatal,
           "The kubelet has GPUs to give",
           "nvidia.com/pgpu (or names of models), one for each GPU on VFIO",
           "Start sandbox-device-plugin (gpuhost-sandbox-device-plugin.service, or its pod) and "
           "read its log; "
           "`gpuhostctl devices` shows what it offers and why not more.",
           "Read from the kubelet's checkpoint of device plugins.",
           {"GPU-DRV", "VFIO-CDEV", "GPU-ENUM", "KUBELET-RUN", "IOMMU-ON", "IOMMUFD", "NO-NVIDIA"},
           &Plugin},
      },
      [](const Facts& facts) -> const absl::Status& { return facts.kubelet.known; },
      "KUBELET-RUN"};
}

}  // namespace gpuhost::node_validator
