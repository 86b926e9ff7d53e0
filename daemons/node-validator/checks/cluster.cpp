// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/each.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

using kube::RuntimeClass;

constexpr const char* kServer = "the API server";
constexpr const char* kFormerManager = "nvidia.com/kata-runtime-class";  // label of its classes

Finding NotTold(const absl::Status& why) {
  return absl::IsPermissionDenied(why) ? Unknown(Text(why), kServer) : Skip(Text(why));
}

// Why RuntimeClasses are not known; where the reason is long it is told once, by RC-HANDLER.
Finding NoClasses(const Facts& facts) {
  const absl::Status& why = facts.cluster.classes.status();
  return absl::IsPermissionDenied(why) ? Unknown("RuntimeClasses are not known, see RC-HANDLER")
                                       : NotTold(why);
}

using Classes = std::vector<const RuntimeClass*>;

Classes ClassesOf(const Facts& facts, const KataRuntime& runtime) {
  Classes found;
  for (const RuntimeClass& one : *facts.cluster.classes) {
    if (one.handler == runtime.handler.name) found.push_back(&one);
  }
  return found;
}

// Judges each runtime by the classes that lead to it, where those and the node are known.
template <typename Judge>
Findings EachLedTo(const Facts& facts, const Judge& judge) {
  if (!facts.cluster.classes.ok()) return {NoClasses(facts)};
  if (!facts.cluster.node.ok()) return {NotTold(facts.cluster.node.status())};
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const Classes classes = ClassesOf(facts, runtime);
    return classes.empty() ? Skip("no RuntimeClass, see RC-HANDLER") : judge(classes);
  });
}

// What the class asks a node for and this one has not; empty: it chooses this node.
std::string Unmet(const RuntimeClass& one, const kube::Labels& labels) {
  for (const auto& [key, value] : one.node_selector) {
    const auto found = labels.find(key);
    if (found == labels.end()) {
      return fmt::format("{} asks for {}={}, which the node has not", one.name, key, value);
    }
    if (found->second != value) {
      return fmt::format("{} asks for {}={}, the node has '{}'", one.name, key, value,
                         found->second);
    }
  }
  return "";
}

std::string EvidenceOf(const RuntimeClass& one) { return "RuntimeClass " + one.name; }

Findings ServerVersion(const Facts& facts) {
  const auto& version = facts.cluster.version;
  if (!version.ok()) return {NotTold(version.status())};
  if (*version == Version{}) return {Unknown("it tells no version", kServer)};
  const std::string seen = "Kubernetes " + ToString(*version);
  return {*version >= Version{1, 32, 0} ? Pass(seen, kServer) : Fail(seen, kServer)};
}

Findings HasClass(const Facts& facts) {
  if (!facts.cluster.classes.ok()) return {NotTold(facts.cluster.classes.status())};
  const auto runtimes = facts.Runtimes();
  const bool any = std::ranges::any_of(
      runtimes, [&](const KataRuntime* runtime) { return !ClassesOf(facts, *runtime).empty(); });
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const auto classes = ClassesOf(facts, runtime);
    if (!classes.empty()) return Pass(classes[0]->name, EvidenceOf(*classes[0]));
    Finding finding = Fail("no RuntimeClass names " + runtime.handler.name, kServer);
    if (any) finding.severity = Severity::kInfo;  // pods can use the other
    return finding;
  });
}

Findings Chosen(const Facts& facts) {
  return EachLedTo(facts, [&](const Classes& classes) {
    for (const RuntimeClass* one : classes) {
      if (Unmet(*one, facts.cluster.node->labels).empty()) {
        return Pass(one->name + " chooses this node", EvidenceOf(*one));
      }
    }
    return Fail(Unmet(*classes[0], facts.cluster.node->labels), EvidenceOf(*classes[0]));
  });
}

// Of what comes in pieces; that there is memory for a guest is another check.
std::string TooLittle(const RuntimeClass& one, const kube::Quantities& allocatable) {
  for (const auto& [resource, amount] : one.overhead) {
    if (resource.find('/') == std::string::npos) continue;
    const auto found = allocatable.find(resource);
    if (found == allocatable.end()) {
      return fmt::format("{} takes {} of {}, which the node has not", one.name, amount, resource);
    }
    const auto wanted = ParsePieces(amount), there = ParsePieces(found->second);
    if (wanted && there && *there < *wanted) {
      return fmt::format("{} takes {} of {}, the node has {}", one.name, amount, resource,
                         found->second);
    }
  }
  return "";
}

Findings Overhead(const Facts& facts) {
  return EachLedTo(facts, [&](const Classes& classes) {
    for (const RuntimeClass* one : classes) {
      const std::string wrong = TooLittle(*one, facts.cluster.node->allocatable);
      if (!wrong.empty()) return Fail(wrong, EvidenceOf(*one));
    }
    return Pass("there is enough for one pod", EvidenceOf(*classes[0]));
  });
}

// A class that sends pods here, where nobody knows its handler. Of others than the former
// kata-manager's only those that choose nodes: who chooses none may mean other nodes.
bool IsStale(const Facts& facts, const RuntimeClass& one) {
  const auto label = one.labels.find(kFormerManager);
  const bool former = label != one.labels.end() && label->second == "true";
  const bool kata = one.handler.starts_with("kata") && !one.node_selector.empty();
  return (former || kata) && Unmet(one, facts.cluster.node->labels).empty() &&
         std::ranges::count(facts.containerd.handlers, one.handler, &Handler::name) == 0;
}

Findings Stale(const Facts& facts) {
  if (!facts.cluster.classes.ok()) return {NoClasses(facts)};
  if (!facts.cluster.node.ok()) return {NotTold(facts.cluster.node.status())};
  if (!facts.containerd.present()) return {Skip("no containerd")};
  std::vector<std::string> stale;
  for (const RuntimeClass& one : *facts.cluster.classes) {
    if (IsStale(facts, one)) stale.push_back(fmt::format("{} ({})", one.name, one.handler));
  }
  return {stale.empty() ? Pass("all that choose this node have one", kServer)
                        : Fail("without a handler here: " + Some(stale), kServer)};
}

}  // namespace

Group ClusterChecks() {
  return {
      "Kubernetes",
      {
          {"API-VER",
           Severity::kDegraded,
           "The control plane is new enough",
           "1.32 or newer",
           "Upgrade the control plane to Kubernetes 1.34, which was tried with confidential "
           "containers.",
           "Asked from the API server, which may be older than this node's kubelet for a while "
           "only.",
           {},
           &ServerVersion},
          {"RC-HANDLER",
           Severity::kFatal,
           "Pods can ask for the handler",
           "a RuntimeClass with this handler",
           "Upgrade Kata's chart (`helm upgrade kata-deploy ...`), which makes it, or apply a "
           "RuntimeClass with this handler, its node selector and its overhead.",
           "A pod names a RuntimeClass, which names the handler. Asked where the API server may be "
           "(--node-name, --kubeconfig); this needs the right to list runtimeclasses.node.k8s.io.",
           {"CTR-HANDLER", "KATA-INST"},
           &HasClass},
          {"RC-SELECT",
           Severity::kFatal,
           "The RuntimeClass chooses this node",
           "each label of its scheduling.nodeSelector",
           "See who sets this label: cc-manager nvidia.com/cc.ready.state, kata-deploy "
           "katacontainers.io/kata-runtime, Node Feature Discovery those with "
           "feature.node.kubernetes.io; look at its pod on this node.",
           "The scheduler sends pods of the class to such nodes alone; elsewhere they stay "
           "Pending.",
           {"LABEL-READY", "LABEL-KATA", "RC-HANDLER"},
           &Chosen},
          {"RC-OVERHEAD",
           Severity::kFatal,
           "The node has what the RuntimeClass takes for each pod",
           "as much allocatable as overhead.podFixed says",
           "Let Node Feature Discovery count the encryption keys: see that the NodeFeatureRule "
           "kata-tee-keys is there (kata-deploy makes it) and that nfd-worker runs on this node.",
           "sev-snp.amd.com/esids and tdx.intel.com/keys are asked for with each confidential pod; "
           "without them it stays Pending with Insufficient. What other pods have is not counted.",
           {"SNP-ASID", "SNP-PARAM", "TDX-KEYS", "TDX-PARAM", "RC-HANDLER"},
           &Overhead},
          {"RC-STALE",
           Severity::kDegraded,
           "RuntimeClasses for this node have their handler here",
           "none of the former kata-manager's and of Kata's is without",
           "Run `kubectl delete runtimeclass <name>` for those that the GPU Operator's former "
           "kata-manager left (label nvidia.com/kata-runtime-class=true); for others install the "
           "handler, or take the node out of their selector.",
           "A pod of such a class is sent here, and containerd refuses it: no runtime for ... is "
           "configured.",
           {"CTR-CONF", "CTR-IMPORT", "CTR-DISABLED", "CTR-CFG-VER", "CTR-HANDLER"},
           &Stale},
      }};
}

}  // namespace gpuhost::node_validator
