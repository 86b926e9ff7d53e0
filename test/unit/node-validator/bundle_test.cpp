// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/bundle.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/report/json.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

struct Seen {
  std::string json;
  CapturedTree captured;
  Report report;
};

Seen Look(const std::string& root, Depth depth = Depth::kQuick) {
  const HostFs fs(root);
  const Tree tree(fs);
  REQUIRE(tree.captured());
  const auto questions = AskCapture(tree);
  const Facts facts = Observe(tree, *questions, depth);
  Report report = Judge(facts);
  report.captured = true;
  return {RenderReportJson(report), Capture(tree, *questions, facts), report};
}

void Unpack(const std::string& archive, const std::string& directory) {
  const auto done =
      OutputOf(std::chrono::seconds(30), {.path = "/bin/tar",
                                          .arguments = {"-xzf", archive, "-C", directory},
                                          .environment = {"PATH=/usr/bin:/bin"}});
  INFO(Text(done.status()));
  REQUIRE(done.ok());
}

// Every byte of every file below `directory`.
std::string AllOf(const std::filesystem::path& directory) {
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    all += entry.path().string() + "\n";
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  return all;
}

}  // namespace

TEST_CASE("a bundle unpacked elsewhere tells the same of the node") {
  const std::string name =
      GENERATE("snp-healthy", "tdx-healthy", "snp-iommu-pt", "no-acs", "dangling-kernel",
               "image-skew", "iommu-off", "kill-mode", "stale-cdi", "change-failed",
               "stray-in-config-d", "no-kata", "runc-lost", "damaged-extension");
  CAPTURE(name);
  test::NodeTree node(name);
  const Seen here = Look(node.root().path(), node.depth());
  fake::TempRoot elsewhere;
  const std::string archive = elsewhere.Of("/bundle.tar.gz").string();
  REQUIRE(WriteBundle(archive, here.report, here.captured, {}).ok());
  Unpack(archive, elsewhere.path());
  const Seen there =
      Look(elsewhere.Of("/gpuhost-support-" + here.report.node + "/tree").string(), node.depth());
  CHECK(there.json == here.json);
}

TEST_CASE("no secret of a node is in its bundle") {
  test::NodeTree node("snp-healthy");
  fake::TempRoot& root = node.root();
  constexpr const char* kSecrets[] = {
      "correct-horse-battery", "s3cr3t-in-proxy",   "tok3n-in-cmdline",
      "luks-k3yfile",          "hunter2-comment",   "c2VjcmV0LWF1dGg",
      "p4ss-in-unit",          "bearer-t0ken-xyz",  "kbs-s3cret",
      "static-p0d-token",      "BEGIN PRIVATE KEY", "kubeconfig-p4ssword",
      "s3cret-in-pod-env",     "journal-t0ken"};
  root.File("/proc/cmdline", "ro cryptkey=luks-k3yfile tok3n-in-cmdline iommu=nopt\n");
  root.File("/proc/1302/cmdline",
            std::string("/usr/bin/kubelet\0--bootstrap-token\0tok3n-in-cmdline\0"
                        "--config=/var/lib/kubelet/config.yaml\0",
                        88));
  const std::string config = root.Content("/etc/containerd/config.toml");
  root.File("/etc/containerd/config.toml",
            "# hunter2-comment\n" + config +
                "[plugins.\"io.containerd.cri.v1.images\".registry.headers]\n"
                "Authorization = [\"Bearer bearer-t0ken-xyz\"]\n"
                "[stream_processors.x]\nenv = [\"P=s3cret-in-pod-env\"]\nargs = "
                "[\"--password=hunter2-comment\"]\n"
                "[other]\nidentitytoken = \"c2VjcmV0LWF1dGg\"\nauth = \"c2VjcmV0LWF1dGg\"\n"
                "pem = \"-----BEGIN PRIVATE KEY-----\\nx\"\n");
  root.File("/etc/systemd/system/containerd.service.d/proxy.conf",
            "[Service]\nEnvironment=\"HTTPS_PROXY=http://me:p4ss-in-unit@proxy:3128\"\n");
  root.File("/var/lib/kubelet/config.yaml",
            root.Content("/var/lib/kubelet/config.yaml") +
                "staticPodURLHeader:\n  Authorization: [\"static-p0d-token\"]\n");
  root.File("/etc/kubernetes/kubelet.conf", "password: kubeconfig-p4ssword\n");
  root.File(
      "/opt/kata/share/defaults/kata-containers/runtimes/qemu-nvidia-gpu-snp/config.d/50.toml",
      "[hypervisor.qemu]\nkernel_params = \"agent.https_proxy=http://u:s3cr3t-in-proxy@p:1 "
      "agent.aa_kbc_params=cc_kbc::http://kbs-s3cret nvrc.smi.srs=1\"\n");
  root.File("/.gpuhost-capture/containerd-dump@%usr%bin%containerd+%etc%containerd%config.toml",
            "ok\n[registry]\nauth = \"c2VjcmV0LWF1dGg\"\n");
  root.File("/.gpuhost-capture/kernel-log", "ok\nSEV-SNP: password=hunter2-comment\n");

  const Seen here = Look(root.path());
  fake::TempRoot elsewhere;
  const std::string archive = elsewhere.Of("/bundle.tar.gz").string();
  REQUIRE(WriteBundle(archive, here.report, here.captured,
                      {{"logs/gpuhost.log", "cc-manager: token=journal-t0ken\n"}})
              .ok());
  Unpack(archive, elsewhere.path());
  const std::string all = AllOf(elsewhere.Of("/gpuhost-support-gpu-7"));
  for (const char* secret : kSecrets) {
    CAPTURE(secret);
    CHECK(all.find(secret) == std::string::npos);
  }
  // And what a maintainer needs is there.
  for (const char* needed :
       {"SystemdCgroup", "kata-qemu-nvidia-gpu-snp", "nvrc.smi.srs=1", "AMD EPYC", "iommu=nopt",
        "runtimeRequestTimeout", "cc-manager: token"}) {
    CAPTURE(needed);
    CHECK(all.find(needed) != std::string::npos);
  }
}

TEST_CASE("a bundle is its owner's, whole or not there, and follows no link") {
  test::NodeTree node("snp-healthy");
  const Seen here = Look(node.root().path());
  fake::TempRoot root;
  root.File("/victim", "untouched");
  root.Link("/bundle.part", root.Of("/victim").string());
  const std::string path = root.Of("/bundle").string();
  REQUIRE(WriteBundle(path, here.report, here.captured, {}).ok());
  CHECK(root.Content("/victim") == "untouched");
  CHECK(!root.Exists("/bundle.part"));
  CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::mask) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  const absl::Status nowhere =
      WriteBundle(root.Of("/none/bundle").string(), here.report, here.captured, {});
  CHECK(absl::IsNotFound(nowhere));
  CHECK(Text(nowhere).find("/none/bundle") != std::string::npos);
}
