// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kValidations = "/run/nvidia/validations";

Findings Disk(const Facts& facts) {
  constexpr uint64_t kBytes = 2ull << 30;
  if (facts.space.empty()) return {Unknown("free space is not known", "/var/lib/containerd")};
  std::vector<std::string> full, fine;
  std::string evidence = facts.space.front().path;
  for (const Space& space : facts.space) {
    const std::string seen =
        fmt::format("{} {:.1f} GiB", space.path, static_cast<double>(space.bytes) / (1 << 30));
    const bool few_inodes = space.all_inodes > 0 && space.inodes < space.all_inodes / 20;
    if (space.bytes >= kBytes && !few_inodes) {
      fine.push_back(seen);
      continue;
    }
    full.push_back(few_inodes ? fmt::format("{} {} inodes", space.path, space.inodes) : seen);
    evidence = space.path;
  }
  return {full.empty() ? Pass(Some(fine) + " free", evidence)
                       : Fail(Some(full) + " left", evidence)};
}

Findings OperatorWorkload(const Facts& facts) {
  const OperatorFacts& seen = facts.gpu_operator;
  if (seen.workload_type.empty()) return {Skip("the GPU Operator's validator has not run here")};
  const std::string file = fmt::format("{}/workload-type", kValidations);
  if (seen.workload_type != "vm-passthrough") return {Fail(seen.workload_type, file)};
  return {Pass(seen.workload_type, file)};
}

Findings Validated(const Facts& facts) {
  const OperatorFacts& seen = facts.gpu_operator;
  if (seen.workload_type.empty()) return {Skip("the GPU Operator's validator has not run here")};
  if (seen.vfio_ready) return {Pass("vfio-pci-ready", kValidations)};
  return {Fail("no vfio-pci-ready", kValidations)};
}

Findings Label(const Facts& facts, const std::string& key, const std::string& wanted,
               const std::string& missing) {
  if (!facts.cluster.node.ok()) return {Skip(Text(facts.cluster.node.status()))};
  const kube::Labels& labels = facts.cluster.node->labels;
  const auto found = labels.find(key);
  const std::string evidence = "label " + key;
  if (found == labels.end()) {
    return {missing.empty() ? Fail("the node has no such label", evidence)
                            : Pass(missing, evidence)};
  }
  return {found->second == wanted ? Pass(found->second, evidence)
                                  : Fail(fmt::format("'{}'", found->second), evidence)};
}

// Without it the GPU Operator takes its default, which may be vm-passthrough, and nobody else
// asks.
Findings WorkloadLabel(const Facts& facts) {
  constexpr const char* kKey = "nvidia.com/gpu.workload.config";
  const bool labelled = facts.cluster.node.ok() && facts.cluster.node->labels.contains(kKey);
  if (labelled || !facts.cluster.node.ok()) return Label(facts, kKey, "vm-passthrough", "");
  if (facts.gpu_operator.workload_type == "vm-passthrough") {
    return {Pass("no label; the GPU Operator's default", kValidations)};
  }
  Finding finding = Label(facts, kKey, "vm-passthrough", "").front();
  finding.severity = Severity::kInfo;
  finding.expected =
      "label nvidia.com/gpu.workload.config=vm-passthrough, if the GPU Operator is used and its "
      "sandboxWorkloads.defaultWorkload is another";
  return {finding};
}

// A label by which RuntimeClasses choose nodes: it matters where one does that leads to a handler
// of this node.
Findings ChoosingLabel(const Facts& facts, const std::string& key, const std::string& wanted) {
  Findings findings = Label(facts, key, wanted, "");
  if (findings.front().state != State::kFail) return findings;
  if (!facts.cluster.classes.ok()) {
    return {Unknown(findings.front().observed + "; whether a RuntimeClass asks for it is not known",
                    findings.front().evidence)};
  }
  const auto runtimes = facts.Runtimes();
  const bool asked = std::ranges::any_of(*facts.cluster.classes, [&](const auto& one) {
    const bool ours = std::ranges::any_of(
        runtimes, [&](const KataRuntime* r) { return r->handler.name == one.handler; });
    return ours && one.node_selector.contains(key);
  });
  if (!asked) return {Pass("no RuntimeClass asks for it", "the API server")};
  return findings;
}

Findings ReadyLabel(const Facts& facts) {
  const bool confidential = facts.workload == Workload::kConfidential;
  return ChoosingLabel(facts, "nvidia.com/cc.ready.state", confidential ? "true" : "false");
}

Findings KataLabel(const Facts& facts) {
  return ChoosingLabel(facts, "katacontainers.io/kata-runtime", "true");
}

Findings Leftovers(const Facts& facts) {
  std::vector<std::string> left;
  if (facts.kata.old_pid_file) left.emplace_back("the former kata-manager's pid file");
  for (const KataRuntime& runtime : facts.kata.runtimes) {
    if (runtime.handler.config_path.starts_with("/opt/nvidia-gpu-operator/artifacts/")) {
      left.push_back("handler " + runtime.handler.name);
    }
  }
  constexpr const char* kPath = "/opt/nvidia-gpu-operator/artifacts/runtimeclasses";
  return {left.empty() ? Pass("nothing", kPath) : Fail(Some(left), kPath)};
}

Findings TransparentHugePages(const Facts& facts) {
  constexpr const char* kFile = "/sys/kernel/mm/transparent_hugepage/enabled";
  const std::string& line = facts.host.transparent_huge_pages;
  const size_t open = line.find('['), close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) {
    return {Unknown("not known", kFile)};
  }
  const std::string chosen = line.substr(open + 1, close - open - 1);
  return {chosen == "never" ? Fail(chosen, kFile) : Pass(chosen, kFile)};
}

}  // namespace

Group NodeChecks() {
  return {
      "Node",
      {
          {"DISK",
           Severity::kDegraded,
           "There is room",
           "2 GiB and a twentieth of the inodes free",
           "Free space: `crictl rmi --prune`, and old files below the path that is named.",
           "A full /run ends sandboxes, a full /var/lib/containerd keeps images out, a full "
           "/opt/kata leaves "
           "half an upgrade.",
           {},
           &Disk},
          {"LABEL-WORKLOAD",
           Severity::kFatal,
           "The node is for virtual machines",
           "label nvidia.com/gpu.workload.config=vm-passthrough",
           "Run `kubectl label node <node> nvidia.com/gpu.workload.config=vm-passthrough "
           "--overwrite`.",
           "By this label the GPU Operator and gpuhost's chart choose the node. Asked where the "
           "API server "
           "may be (--node-name).",
           {},
           &WorkloadLabel},
          {"LABEL-READY",
           Severity::kFatal,
           "The scheduler may send such pods here",
           "label nvidia.com/cc.ready.state=true",
           "Let cc-manager bring the GPUs into their mode; it sets the label. See CC-MODE.",
           "Kata's RuntimeClasses choose nodes by it: true for confidential guests, false for "
           "others.",
           {"CC-MODE", "CC-MANAGER", "CC-CHIP"},
           &ReadyLabel},
          {"LABEL-KATA",
           Severity::kFatal,
           "Kata says that it is installed",
           "label katacontainers.io/kata-runtime=true",
           "Look at the pod kata-deploy-... in kata-system: it sets the label when it has "
           "finished.",
           "Kata's RuntimeClasses choose nodes by it.",
           {"KATA-INST"},
           &KataLabel},
          {"OP-WORKLOAD",
           Severity::kFatal,
           "The GPU Operator takes this node for virtual machines",
           "workload-type vm-passthrough",
           "Run `kubectl label node <node> nvidia.com/gpu.workload.config=vm-passthrough "
           "--overwrite`.",
           "Written by the sandbox validator, and read by its plugins.",
           {"LABEL-WORKLOAD"},
           &OperatorWorkload},
          {"VFIO-READY",
           Severity::kDegraded,
           "The GPU Operator has seen the GPUs on VFIO",
           "/run/nvidia/validations/vfio-pci-ready",
           "Look at the pod nvidia-sandbox-validator; it waits for GPU-DRV.",
           "The Operator's device plugin does not start before.",
           {"GPU-DRV", "OP-WORKLOAD", "NO-NVIDIA"},
           &Validated},
          {"LEFTOVERS",
           Severity::kDegraded,
           "Nothing of the former kata-manager is left",
           "no handler below /opt/nvidia-gpu-operator/artifacts",
           "Run `kata-manager uninstall --legacy`; delete RuntimeClasses with label "
           "nvidia.com/kata-runtime-class=true.",
           "The GPU Operator's kata-manager was given up in 2026, and cleans up nothing.",
           {},
           &Leftovers},
          {"THP",
           Severity::kInfo,
           "Memory comes in large pages",
           "always or madvise",
           "Run `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`.",
           "Large pages make guests start faster: each page of a confidential guest is converted.",
           {},
           &TransparentHugePages},
      }};
}

}  // namespace gpuhost::node_validator
