// SPDX-License-Identifier: Apache-2.0
// Nodes that are in order in another way than the usual one, and their neighbours that are not.
#include <catch2/catch.hpp>

#include "daemons/node-validator/checks/iommu_words.h"
#include "daemons/node-validator/report/report.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

Facts FactsOf(const std::string& name) {
  test::NodeTree node(name);
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  return Observe(tree, *AskCapture(tree));
}

// "pass", "fail fatal", ... of a check.
std::string Said(const Facts& facts, std::string_view id) {
  const Report report = Judge(facts);
  for (const Line& line : report.lines) {
    if (line.check->id != id) continue;
    std::string said(ToString(line.finding.state));
    if (line.finding.state == State::kFail) said += " " + std::string(ToString(line.severity));
    return said;
  }
  return "";
}

}  // namespace

// Linux 6.17: the words in their order, comma lists, truth values as kstrtobool reads them.
TEST_CASE("the kernel's command line is read as the kernel reads it") {
  Facts facts = FactsOf("snp-healthy");
  struct Case {
    std::vector<std::string> words;
    const char* said;
  };
  const Case cases[] = {
      {{"iommu=pt"}, "fail fatal"},
      {{"iommu=pt", "iommu=nopt"}, "pass"},
      {{"iommu=nopt", "iommu=pt"}, "fail fatal"},
      {{"iommu=memaper,pt"}, "fail fatal"},
      {{"iommu=pt,nopt"}, "pass"},
      {{"iommu=pt", "iommu.passthrough=0"}, "pass"},
      {{"iommu.passthrough=y"}, "fail fatal"},
      {{"iommu.passthrough=Yes"}, "fail fatal"},
      {{"iommu.passthrough=on"}, "fail fatal"},
      {{"iommu.passthrough=1", "iommu.passthrough=off"}, "pass"},
      {{"iommu.passthrough=1", "iommu.passthrough=maybe"}, "fail fatal"},
      {{"iommu.passthrough=n"}, "pass"},
      {{"amd_iommu=force_enable,pgtbl_v2"}, "fail fatal"},
      {{"amd_iommu=pgtbl_v2", "amd_iommu=pgtbl_v1"}, "pass"},
      {{"amd_iommu=off"}, "fail fatal"},
      {{"iommu=off"}, "fail fatal"},
      {{"iommu=noforce,off"}, "fail fatal"},
      {{"intel_iommu=off"}, "pass"},
      {{"xiommu=pt", "iommu.passthroughs=1"}, "pass"},
      {{"quiet", "--", "iommu=pt"}, "pass"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.words);
    facts.host.command_line = one.words;
    CHECK(Said(facts, "SNP-IOMMU") == one.said);
  }
  facts.host.passthrough_by_default = true;
  facts.host.command_line = {};
  CHECK(Said(facts, "SNP-IOMMU") == "fail fatal");
  facts.host.command_line = {"iommu.passthrough=off"};
  CHECK(Said(facts, "SNP-IOMMU") == "pass");
}

TEST_CASE("words of another vendor's IOMMU mean nothing, and the last of one's own counts") {
  Facts amd = FactsOf("snp-healthy"), intel = FactsOf("tdx-healthy");
  struct Case {
    std::vector<std::string> words;
    const char *amd, *intel;
  };
  const Case cases[] = {
      {{"intel_iommu=off"}, "pass", "fail fatal"},
      {{"intel_iommu=off", "intel_iommu=on"}, "pass", "pass"},
      {{"intel_iommu=on,sm_on", "intel_iommu=off"}, "pass", "fail fatal"},
      {{"intel_iommu=sm_on,on"}, "pass", "pass"},
      {{"amd_iommu=off"}, "fail fatal", "pass"},
      {{"iommu=off"}, "fail fatal", "fail fatal"},
      {{"noiommu"}, "fail fatal", "fail fatal"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.words);
    amd.host.command_line = intel.host.command_line = one.words;
    CHECK(Said(amd, "IOMMU-CMD") == one.amd);
    CHECK(Said(intel, "IOMMU-CMD") == one.intel);
  }
}

TEST_CASE("schemas of containerd's files are compared as its version does") {
  Facts facts = FactsOf("snp-healthy");
  const auto said = [&](int main, int dropin, Version version) {
    facts.containerd.version = version;
    facts.containerd.files = {
        {"/main", ParseToml(fmt::format("version = {}", main)).value()},
        {"/dropin", ParseToml(dropin == 0 ? "" : fmt::format("version = {}", dropin)).value()}};
    return Said(facts, "CTR-CFG-VER");
  };
  CHECK(said(4, 3, {2, 3, 7}) == "pass");  // containerd 2.3.7 dumps it and starts
  CHECK(said(4, 2, {2, 3, 0}) == "pass");
  CHECK(said(3, 4, {2, 3, 4}) == "fail fatal");
  CHECK(said(3, 4, {2, 3, 5}) == "fail degraded");
  CHECK(said(3, 2, {2, 2, 9}) == "fail fatal");
  CHECK(said(3, 2, {2, 0, 0}) == "fail fatal");
  CHECK(said(3, 0, {2, 1, 0}) == "pass");
  CHECK(said(3, 3, {2, 1, 0}) == "pass");
}

TEST_CASE(
    "snapshotters that containerd has built in need no proxy plugin, and a guest that pulls none") {
  Facts facts = FactsOf("snp-healthy");
  const auto runtime = std::ranges::find_if(facts.kata.runtimes, &KataRuntime::ForSnp);
  REQUIRE(runtime != facts.kata.runtimes.end());
  runtime->handler.image_snapshotter = "";
  for (const char* name :
       {"overlayfs", "native", "erofs", "devmapper", "blockfile", "btrfs", "zfs"}) {
    CAPTURE(name);
    runtime->handler.snapshotter = name;
    CHECK(Said(facts, "CTR-SNAP") == "pass");
  }
  runtime->handler.snapshotter = "nydus-of-nobody";
  CHECK(Said(facts, "CTR-SNAP") == "fail fatal");
  runtime->handler.snapshotter = "";
  CHECK(Said(facts, "CTR-SNAP") == "fail degraded");
  Value::Table& tables = *runtime->merged.AsTable();
  const Value kept = runtime->merged;
  Merge(runtime->merged, ParseToml("[runtime]\nexperimental_force_guest_pull = true").value(),
        false);
  CHECK(Said(facts, "CTR-SNAP") == "pass");
  runtime->merged = kept;
  Merge(runtime->merged, ParseToml("[runtime]\nexperimental = [\"force_guest_pull\"]").value(),
        false);
  CHECK(Said(facts, "CTR-SNAP") == "pass");
  runtime->merged = kept;
  Merge(runtime->merged, ParseToml("[runtime]\nexperimental = [\"other\"]").value(), false);
  CHECK(Said(facts, "CTR-SNAP") == "fail degraded");
  CHECK(!tables.empty());
}

TEST_CASE("labels matter where somebody chooses nodes by them") {
  Facts facts = FactsOf("snp-healthy");
  kube::Node node;
  kube::RuntimeClass ours;
  ours.name = ours.handler = "kata-qemu-nvidia-gpu-snp";
  facts.cluster.node = node;
  facts.cluster.classes = std::vector<kube::RuntimeClass>{ours};
  CHECK(Said(facts, "LABEL-KATA") == "pass");
  CHECK(Said(facts, "LABEL-READY") == "pass");
  CHECK(Said(facts, "LABEL-WORKLOAD") == "fail info");
  facts.gpu_operator.workload_type = "vm-passthrough";  // its default, or its label of before
  CHECK(Said(facts, "LABEL-WORKLOAD") == "pass");
  ours.node_selector["katacontainers.io/kata-runtime"] = "true";
  ours.node_selector["nvidia.com/cc.ready.state"] = "true";
  facts.cluster.classes = std::vector<kube::RuntimeClass>{ours};
  CHECK(Said(facts, "LABEL-KATA") == "fail fatal");
  CHECK(Said(facts, "LABEL-READY") == "fail fatal");
  ours.handler = "of-another";
  facts.cluster.classes = std::vector<kube::RuntimeClass>{ours};
  CHECK(Said(facts, "LABEL-KATA") == "pass");
  facts.cluster.classes = absl::PermissionDeniedError("not allowed");
  CHECK(Said(facts, "LABEL-KATA") == "unknown");
  node.labels["nvidia.com/gpu.workload.config"] = "container";
  node.labels["katacontainers.io/kata-runtime"] = "true";
  facts.cluster.node = node;
  CHECK(Said(facts, "LABEL-WORKLOAD") == "fail fatal");
  CHECK(Said(facts, "LABEL-KATA") == "pass");
}

TEST_CASE("of the kernel's log only its own words on TDX count, and the last of them") {
  Facts facts = FactsOf("tdx-healthy");
  const auto said = [&](const std::string& log) {
    facts.host.kernel_log = log;
    return Said(facts, "TDX-LOG");
  };
  CHECK(said("virt/tdx: module initialized\n") == "pass");
  CHECK(said("virt/tdx: module initialization failed (-22)\n") == "fail fatal");
  CHECK(said("virt/tdx: initialization failed: Hibernation support is enabled\n") == "fail fatal");
  CHECK(said("virt/tdx: SEAMLDR version 1.5.7\n") == "pass");
  CHECK(said("virt/tdx: SEAMLDR_INFO failed\n") == "fail fatal");
  CHECK(said("vfio-pci: module initialization failed\n") == "pass");
  CHECK(said("virt/tdx: module initialization failed (-5)\nvirt/tdx: module initialized\n") ==
        "pass");
  CHECK(said("") == "pass");
}

TEST_CASE("a kubelet that is told no cgroup driver asks containerd for it") {
  Facts facts = FactsOf("snp-healthy");
  facts.kubelet.merged.AsTable()->erase("cgroupDriver");
  CHECK(Said(facts, "KUBELET-CGROUP") == "pass");
  facts.containerd.version = {1, 7, 27};
  CHECK(Said(facts, "KUBELET-CGROUP") == "fail degraded");
  facts.containerd.version = {2, 1, 4};
  facts.kubelet.version = {1, 30, 9};
  CHECK(Said(facts, "KUBELET-CGROUP") == "fail degraded");
}

TEST_CASE("the kubelet has to wait ten minutes, and five are not enough") {
  Facts facts = FactsOf("snp-healthy");
  const auto said = [&](const std::string& timeout) {
    (*facts.kubelet.merged.AsTable())["runtimeRequestTimeout"] = Value(timeout);
    return Said(facts, "KUBELET-TIME");
  };
  CHECK(said("20m") == "pass");
  CHECK(said("10m") == "pass");
  CHECK(said("9m59s") == "fail info");
  CHECK(said("5m1s") == "fail info");
  CHECK(said("5m") == "fail degraded");
  CHECK(said("2m0s") == "fail degraded");
  CHECK(said("0s") == "fail degraded");
}

TEST_CASE("ports need source validation, both redirects and upstream forwarding") {
  Facts facts = FactsOf("snp-healthy");
  const auto said = [&](uint16_t control) {
    facts.devices.gpus.front().bridges.front().acs_control = control;
    return Said(facts, "ACS");
  };
  CHECK(said(0x1d) == "pass");
  CHECK(said(0x5f) == "pass");
  for (const int control : {0x1c, 0x19, 0x15, 0x0d, 0x00}) {
    CAPTURE(control);
    CHECK(said(static_cast<uint16_t>(control)).starts_with("fail"));
  }
}

TEST_CASE("a unit's settings may have blanks around the sign") {
  test::NodeTree node("snp-healthy");
  node.root().File("/lib/systemd/system/containerd.service",
                   "[Service]\nExecStart = /usr/bin/containerd\nKillMode = process\n"
                   "; Restart=no\nRestart =always\n");
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  CHECK(Said(Observe(tree, *AskCapture(tree)), "CTR-UNIT") == "pass");
}

TEST_CASE("the kubelet's socket is the same by whichever path it is reached") {
  const Facts linked = FactsOf("k0s");
  CHECK(Said(linked, "KATA-SOCK") == "pass");
  CHECK(Said(FactsOf("kubelet-elsewhere"), "KATA-SOCK") == "fail fatal");
}
