// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "daemons/node-validator/checks/catalogue.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kDirectory = "/var/run/cdi";

bool IsOurs(const CdiSpec& spec) {
  return spec.kind.starts_with("nvidia.com/") ||
         spec.path.find("/nvidia.com-") != std::string::npos;
}

// Resources that stand for a GPU or a switch of ours, with their ids.
std::vector<std::pair<std::string, std::string>> Offered(const Facts& facts) {
  std::vector<std::pair<std::string, std::string>> offered;
  if (!facts.kubelet.registered.ok()) return offered;
  for (const auto& [resource, ids] : *facts.kubelet.registered) {
    if (!resource.starts_with("nvidia.com/") || resource == "nvidia.com/gpu") continue;
    for (const std::string& id : ids) offered.emplace_back(resource, id);
  }
  return offered;
}

// Where `name` of `kind` is defined.
std::vector<std::string> DefinedIn(const Facts& facts, const std::string& kind,
                                   const std::string& name) {
  std::vector<std::string> paths;
  for (const CdiSpec& spec : facts.cdi.specs) {
    if (spec.kind != kind || !spec.problem.empty()) continue;
    for (const CdiDevice& device : spec.devices) {
      if (device.name == name) paths.push_back(spec.path);
    }
  }
  return paths;
}

Findings Parse(const Facts& facts) {
  for (const CdiSpec& spec : facts.cdi.specs) {
    if (spec.problem.empty()) continue;
    const bool named = spec.problem.find(spec.path) != std::string::npos;
    Finding finding =
        Fail(named ? spec.problem : fmt::format("{}: {}", spec.path, spec.problem), spec.path);
    if (!IsOurs(spec)) finding.severity = Severity::kDegraded;
    finding.remedy =
        IsOurs(spec) ? "Remove the file and restart sandbox-device-plugin, which writes it anew."
                     : fmt::format("Remove or correct {}.", spec.path);
    return {finding};
  }
  if (facts.cdi.specs.empty()) return {Pass("there are none", kDirectory)};
  return {
      Pass(fmt::format("{} spec{}", facts.cdi.specs.size(), facts.cdi.specs.size() == 1 ? "" : "s"),
           kDirectory)};
}

// Kata's libraries know versions up to 0.6.0.
Findings VersionOf(const Facts& facts) {
  for (const CdiSpec& spec : facts.cdi.specs) {
    const Version version = FindVersion(spec.version);
    if (version <= Version{0, 6, 0}) continue;
    return {Fail(fmt::format("{} has version {}", spec.path, spec.version), spec.path)};
  }
  return {Pass("0.6.0 at most", kDirectory)};
}

Findings Resolve(const Facts& facts) {
  const auto offered = Offered(facts);
  if (offered.empty()) return {Skip("the kubelet has no GPU to give")};
  std::vector<std::string> missing;
  for (const auto& [resource, id] : offered) {
    if (DefinedIn(facts, resource, id).empty())
      missing.push_back(fmt::format("{}={}", resource, id));
  }
  if (missing.empty())
    return {Pass(fmt::format("all {} of the kubelet's", offered.size()), kDirectory)};
  return {Fail("not defined: " + Some(missing), kDirectory)};
}

Findings Conflict(const Facts& facts) {
  std::map<std::string, std::set<std::string>> files;
  for (const CdiSpec& spec : facts.cdi.specs) {
    if (!IsOurs(spec) || spec.kind.empty()) continue;
    for (const CdiDevice& device : spec.devices) {
      files[spec.kind + "=" + device.name].insert(spec.path);
    }
  }
  for (const auto& [name, paths] : files) {
    if (paths.size() < 2) continue;
    Finding finding =
        Fail(fmt::format("{} is defined in {}", name, Some({paths.begin(), paths.end()})),
             *paths.begin());
    finding.remedy = fmt::format(
        "Remove all but the file of who offers the devices; mostly {} is left from the former "
        "kata-manager or a static set-up.",
        *paths.begin());
    return {finding};
  }
  return {Pass("one writer", kDirectory)};
}

Findings Foreign(const Facts& facts) {
  if (!facts.kubelet.registered.ok()) return {Skip("the kubelet's device plugins are not known")};
  std::vector<std::string> without;
  for (const auto& [resource, ids] : *facts.kubelet.registered) {
    if (resource.starts_with("nvidia.com/") || ids.empty()) continue;
    if (DefinedIn(facts, resource, ids.front()).empty()) without.push_back(resource);
  }
  if (without.empty()) return {Pass("none without CDI", kDirectory)};
  return {Fail("without CDI: " + Some(without), "/var/lib/kubelet/device-plugins")};
}

Findings Nodes(const Facts& facts) {
  std::set<std::string> present, wrong;
  for (const GpuFacts& gpu : facts.devices.gpus) {
    if (!gpu.node.empty()) present.insert(gpu.node);
  }
  size_t checked = 0;
  for (const CdiSpec& spec : facts.cdi.specs) {
    if (!IsOurs(spec)) continue;
    for (const CdiDevice& device : spec.devices) {
      for (const std::string& node : device.nodes) {
        if (!node.starts_with("/dev/vfio/")) continue;
        ++checked;
        const auto found = facts.cdi.node_present.find(node);
        const bool there = found != facts.cdi.node_present.end() && found->second;
        const bool cdev = node.starts_with("/dev/vfio/devices/");
        if (!there) {
          wrong.insert(
              fmt::format("{}={} names {}, which is not there", spec.kind, device.name, node));
        } else if (cdev && !present.contains(node)) {
          wrong.insert(
              fmt::format("{}={} names {}, which is no GPU's", spec.kind, device.name, node));
        } else if (!cdev && facts.workload == Workload::kConfidential) {
          wrong.insert(fmt::format("{}={} names {}, a group", spec.kind, device.name, node));
        }
      }
    }
  }
  if (!wrong.empty()) return {Fail(Some({wrong.begin(), wrong.end()}, 2), kDirectory)};
  if (checked == 0) return {Skip("no spec names a node of VFIO's")};
  return {Pass(fmt::format("{} nodes", checked), kDirectory)};
}

}  // namespace

Group CdiChecks() {
  return {
      "Container Device Interface",
      {
          {"CDI-PARSE",
           Severity::kFatal,
           "All specs can be read",
           "valid YAML or JSON in /etc/cdi and /var/run/cdi",
           "Remove or correct the file that is named.",
           "Kata reads all of them for every GPU pod.",
           {},
           &Parse},
          {"CDI-VER",
           Severity::kDegraded,
           "Kata knows the specs' version",
           "cdiVersion 0.6.0 or older",
           "Let its writer use an older version (nvidia-ctk: --format and an older toolkit), or "
           "remove the "
           "file: containers with GPUs do not run on this node anyway.",
           "Kata refuses every GPU pod while there is a spec of a version that it does not know.",
           {},
           &VersionOf},
          {"CDI-RESOLVE",
           Severity::kFatal,
           "All that the kubelet gives is defined",
           "nvidia.com/pgpu=<id> for each id",
           "Restart sandbox-device-plugin, which writes /var/run/cdi; if it is not gpuhost's, see "
           "that "
           "/var/run/cdi of the host is mounted into its pod.",
           "Kata turns what the kubelet gave into CDI names, and fails on one that is not there.",
           {"CDI-PARSE", "PLUGIN"},
           &Resolve},
          {"CDI-CONFLICT",
           Severity::kFatal,
           "Each device is defined once",
           "one file for each name",
           "Remove all but one of the files.",
           "Twice in one directory no reader resolves it; in /etc/cdi and /var/run/cdi Kata's two "
           "runtimes "
           "resolve it differently.",
           {},
           &Conflict},
          {"CDI-NODES",
           Severity::kFatal,
           "Specs name the GPUs' nodes of now",
           "existing nodes below /dev/vfio/devices of GPUs",
           "Restart sandbox-device-plugin, which writes the specs anew; gpuhost's does so by "
           "itself after "
           "every change.",
           "Numbers of VFIO's nodes change when GPUs are bound again, as after a change of the "
           "mode.",
           {"CDI-PARSE", "VFIO-CDEV", "GPU-DRV", "IOMMUFD", "IOMMU-ON", "IOMMU-CMD"},
           &Nodes},
          {"CDI-FOREIGN",
           Severity::kInfo,
           "Other plugins' devices are known to CDI",
           "a spec for each resource",
           "Do not ask for such a resource in a pod that Kata runs, or have its plugin write CDI.",
           "Kata's shim wants a CDI device for everything that the kubelet gave to a pod.",
           {},
           &Foreign},
      }};
}

}  // namespace gpuhost::node_validator
