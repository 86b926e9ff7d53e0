// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/facts.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "libgpuhost/base/parse.h"

namespace gpuhost::node_validator {
namespace {

constexpr std::string_view kValidations = "/run/nvidia/validations";

OperatorFacts ObserveOperator(const Tree& tree) {
  const auto file = [](std::string_view entry) {
    return fmt::format("{}/{}", kValidations, entry);
  };
  return {.directory = tree.Exists(kValidations),
          .workload_type = tree.ReadLine(file("workload-type")).value_or(""),
          .vfio_ready = tree.Exists(file("vfio-pci-ready")),
          .manager_ready = tree.Exists(file(".cc-manager-ctr-ready"))};
}

std::vector<Space> ObserveSpace(const Tree& tree, Questions& questions) {
  std::vector<Space> found;
  for (const char* path : {"/var/lib/containerd", "/run", "/opt/kata"}) {
    if (!tree.Exists(path)) continue;
    std::istringstream words(questions.Ask(Question::kFreeSpace, path).value_or(""));
    std::string bytes, inodes, all;
    if (!(words >> bytes >> inodes >> all)) continue;
    found.push_back({path, ParseDecimal(bytes).value_or(0), ParseDecimal(inodes).value_or(0),
                     ParseDecimal(all).value_or(0)});
  }
  return found;
}

}  // namespace

bool Facts::Amd() const { return host.processor.ok() && host.processor->vendor == "AuthenticAMD"; }

bool Facts::Intel() const {
  return host.processor.ok() && host.processor->vendor == "GenuineIntel";
}

std::vector<const KataRuntime*> Facts::Runtimes() const {
  std::vector<const KataRuntime*> chosen;
  for (const KataRuntime& runtime : kata.runtimes) {
    const std::string& handler = runtime.handler.name;
    if (!only_handlers.empty()) {
      if (std::ranges::count(only_handlers, handler) > 0) chosen.push_back(&runtime);
      continue;
    }
    if (!runtime.ForGpus()) continue;
    const bool snp = runtime.ForSnp() || handler.find("snp") != std::string::npos;
    const bool tdx = !snp && (runtime.Confidential() || handler.find("tdx") != std::string::npos);
    const bool confidential = workload == Workload::kConfidential;
    const bool fits = confidential ? (snp && !Intel()) || (tdx && !Amd()) : !snp && !tdx;
    if (fits) chosen.push_back(&runtime);
  }
  return chosen;
}

Facts Observe(const Tree& tree, Questions& questions, Depth depth) {
  Facts facts;
  facts.depth = depth;
  facts.name = tree.ReadLine("/proc/sys/kernel/hostname").value_or("this node");
  facts.host = ObserveHost(tree, questions);
  facts.tee = ObserveTee(tree, questions);
  facts.devices = ObserveDevices(tree, questions);
  facts.kubelet = ObserveKubelet(tree, questions);
  facts.containerd = ObserveContainerd(tree, questions, facts.kubelet);
  facts.kata = ObserveKata(tree, questions, facts.containerd, depth);
  facts.cdi = ObserveCdi(tree);
  facts.gpu_operator = ObserveOperator(tree);
  facts.space = ObserveSpace(tree, questions);
  return facts;
}

}  // namespace gpuhost::node_validator
