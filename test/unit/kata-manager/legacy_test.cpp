// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/legacy.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/containerd/excise.h"
#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/fake/other_process.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

const std::string kTop = kLegacyDirectory;
const std::string kPid = kTop + "/k8s-kata-manager.pid";
constexpr const char* kCdi = "/var/run/cdi/nvidia.com-pgpu.yaml";

// As its TOML library writes a whole file anew.
std::string Tables(const std::string& name, const std::string& config) {
  const std::string runtimes = "plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes";
  return fmt::format(
      "\n        [{0}.{1}]\n          pod_annotations = [\"io.katacontainers.*\"]\n"
      "          privileged_without_host_devices = true\n"
      "          runtime_type = \"io.containerd.kata.v2\"\n"
      "\n          [{0}.{1}.options]\n            ConfigPath = \"{2}\"\n",
      runtimes, name, config);
}
const std::string kBefore =
    "version = 2\nroot = \"/data\" # mine\n\n[plugins]\n\n"
    "  [plugins.\"io.containerd.grpc.v1.cri\"]\n    enable_selinux = true\n\n"
    "    [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n\n"
    "      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes]\n\n"
    "        [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
    "          runtime_type = \"io.containerd.runc.v2\"\n";
const std::string kAfter = "\n# of mine\n[timeouts]\n  \"a.b\" = \"5s\"\n";

// A node with two handlers, artefacts, a CDI file and the pid file of a process that is gone.
struct Node : KataNode {
  Node() {
    root.File(kMain, kBefore + Tables("kata-nvidia-gpu", ConfigOf("kata-nvidia-gpu")) +
                         Tables("kata-other", "/opt/kata/configuration.toml") +
                         Tables("kata-nvidia-gpu-snp", ConfigOf("kata-nvidia-gpu-snp")) + kAfter);
    for (const char* name : {"kata-nvidia-gpu", "kata-nvidia-gpu-snp"}) {
      root.File(ConfigOf(name), "[hypervisor.qemu]\n");
      root.File(kTop + "/" + name + "/vmlinuz", "kernel");
    }
    root.File(kPid, "4711");
    root.File("/dev/vfio/devices/vfio0", "");
    root.File(kCdi,
              "---\ncdiVersion: 0.5.0\ncontainerEdits: {}\ndevices:\n"
              "- containerEdits:\n    deviceNodes:\n    - path: /dev/vfio/devices/vfio0\n"
              "  name: \"0\"\n"
              "- containerEdits:\n    deviceNodes:\n    - path: /dev/vfio/devices/vfio0\n"
              "  name: vfio0\nkind: nvidia.com/pgpu\n");
    services.Start();
    services.now += 3600;
  }
  static std::string ConfigOf(const std::string& name) {
    return kTop + "/" + name + "/configuration-nvidia-gpu-qemu.toml";
  }
  Legacy Find(const std::string& yaml = "") { return *FindLegacy(process, options, config(yaml)); }
  Report Uninstall(const std::string& yaml = "") {
    return UninstallLegacy(process, options, config(yaml));
  }
  std::string Whole() { return Content(kMain); }
  Deps process = deps();
};

}  // namespace

TEST_CASE("everything that it left is found, and no more than told by status, verify and plan") {
  Node node;
  const std::string main = node.Whole();
  const Legacy legacy = node.Find();
  CHECK(legacy.handlers == std::vector<std::string>{"kata-nvidia-gpu", "kata-nvidia-gpu-snp"});
  CHECK(legacy.files == std::vector<std::string>{kPid, kCdi});
  CHECK(legacy.directories ==
        std::vector<std::string>{kTop + "/kata-nvidia-gpu", kTop + "/kata-nvidia-gpu-snp"});
  CHECK_FALSE(legacy.runs);
  const Config config = node.config("cdi: {mode: off}\n");
  const std::string line =
      "left by NVIDIA's kata-manager: handler kata-nvidia-gpu-snp; kata-manager uninstall --legacy";
  CHECK_THAT(DescribeStatus(node.process, node.options, config), Catch::Contains(line));
  CHECK(Verify(node.process, node.options, config).size() == 6);
  const auto plan = DescribeLegacyPlan(node.process, node.options, config);
  REQUIRE(plan.ok());
  CHECK_THAT(*plan, Catch::Contains("-        [plugins.\"io.containerd.grpc.v1.cri\".containerd."
                                    "runtimes.kata-nvidia-gpu]\n") &&
                        Catch::Contains("containerd.service is restarted\n") &&
                        Catch::Contains("remove " + kPid + "\n") &&
                        Catch::Contains("remove " + kTop + "/kata-nvidia-gpu-snp\n"));
  CHECK(node.Apply("").AllWell());
  CHECK(node.Whole() == main);
  CHECK(node.root.Exists(kPid));
  CHECK(node.services.count == 0);
}

TEST_CASE("it goes when asked for, and all other bytes stay") {
  Node node;
  const Report report = node.Uninstall();
  INFO(report.Trouble());
  REQUIRE(report.AllWell());
  CHECK(node.Whole() == kBefore + Tables("kata-other", "/opt/kata/configuration.toml") + kAfter);
  CHECK(*node.running == std::set<std::string>{"kata-other", "runc"});
  CHECK(node.services.count == 1);
  CHECK_FALSE(node.root.Exists(kTop));
  CHECK_FALSE(node.root.Exists(kCdi));
  CHECK(node.Find().IsEmpty());
  CHECK(DescribeLegacyPlan(node.process, node.options, node.config(""))->empty());
  CHECK(node.Uninstall().AllWell());
  CHECK(node.services.count == 1);
}

TEST_CASE("it goes beside handlers of ours, which stay") {
  Node node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  node.services.now += 3600;
  const Report report = node.Uninstall(kOneClass);
  INFO(report.Trouble());
  CHECK(report.AllWell());
  CHECK(*node.running == std::set<std::string>{"kata-other", "kata-x", "runc"});
  const Report again = node.Apply(kOneClass);
  CHECK(again.AllWell());
  CHECK_FALSE(again.runtime.changed);
}

TEST_CASE("what runs with it keeps it") {
  Node node;
  const std::string main = node.Whole();
  SECTION("a sandbox with one of its handlers") {
    node.AddShim(5, "abc");
    node.root.File("/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json",
                   R"({"io.containerd.cri.runtime-handler": "kata-nvidia-gpu"})");
    CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("abc among them"));
  }
  SECTION("a guest with its files") {
    fake::AddProcess(node.root,
                     {.pid = 6,
                      .comm = "qemu",
                      .exe = "/usr/bin/qemu",
                      .arguments = {"qemu", "-kernel",
                                    node.root.Of(kTop + "/kata-nvidia-gpu/vmlinuz").string()}});
    CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("a guest still uses files of"));
  }
  SECTION("itself") {
    fake::AddProcess(node.root, {.pid = 4711, .exe = "/usr/bin/k8s-kata-manager"});
    CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("kataManager.enabled=false"));
    CHECK(node.Find().files == std::vector<std::string>{kCdi});
  }
  CHECK(node.Whole() == main);
  CHECK(node.root.Exists(kPid));
  CHECK(node.root.Exists(kTop + "/kata-nvidia-gpu-snp"));
  CHECK(node.services.count == 0);
}

TEST_CASE("as long as containerd runs with the handlers, the files stay") {
  Node node;
  node.services.unit.kill_mode = "control-group";
  CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("KillMode=control-group"));
  CHECK(node.root.Exists(kTop + "/kata-nvidia-gpu"));
  node.services.now += 5;
  node.services.Start();
  CHECK(node.Uninstall().AllWell());
  CHECK_FALSE(node.root.Exists(kTop));
}

TEST_CASE("a containerd that does not come up without them has them back") {
  Node node;
  const std::string main = node.Whole();
  node.services.answers = {absl::FailedPreconditionError("ended with 'failed'")};
  CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("the change was taken back"));
  CHECK(node.Whole() == main);
  CHECK(node.root.Exists(kPid));
}

TEST_CASE("what is ours is not its, in the same directory and under its name") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  node.options.artifacts_dir = kTop;
  const std::string yaml = kOneClass + "  kata: {hypervisor.qemu: {default_memory: 4096}}\n";
  REQUIRE(node.Apply(yaml).AllWell());
  node.root.File(kMain, node.Content(kMain) +
                            Tables("by-hand", kTop + "/classes/kata-x/current/configuration.toml"));
  node.root.File(kPid, "4711");
  fake::AddProcess(node.root, {.pid = 4711, .exe = "/usr/bin/k8s-kata-manager"});
  Deps deps = node.deps();
  fake::OtherProcess other(node.kernel, "kata-manager");
  const auto legacy = FindLegacy(deps, node.options, node.config(yaml));
  REQUIRE(legacy.ok());
  CHECK(legacy->IsEmpty());
  CHECK_FALSE(legacy->runs);
}

TEST_CASE("a CDI file of a device plugin, or of anybody, is not its") {
  Node node;
  for (const char* text :
       {"---\ncdiVersion: 0.5.0\ncontainerEdits: {}\ndevices:\n- containerEdits:\n    "
        "deviceNodes:\n"
        "    - path: /dev/vfio/vfio\n    - path: /dev/vfio/7\n  name: \"7\"\n"
        "- containerEdits:\n    deviceNodes:\n    - path: /dev/vfio/vfio\n"
        "    - path: /dev/vfio/8\n  name: \"8\"\nkind: nvidia.com/pgpu\n",
        "", "devices:", "devices:\n-\n-", "---\n:\n", "devices:\n- name\n- path: a"}) {
    CAPTURE(text);
    node.root.File(kCdi, text);
    CHECK(node.Find().files == std::vector<std::string>{kPid});
  }
}

TEST_CASE("a default runtime, and tables that are no lines, are left to a person") {
  Node node;
  const std::string handler = Tables("kata-nvidia-gpu", Node::ConfigOf("kata-nvidia-gpu"));
  SECTION("default") {
    node.root.File(kMain,
                   "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
                   "default_runtime_name = \"kata-nvidia-gpu\"\n" +
                       handler);
    CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("name another there first"));
  }
  SECTION("inline") {
    node.root.File(kMain,
                   "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
                   "runtimes = {kata-nvidia-gpu = {runtime_type = \"io.containerd.kata.v2\", "
                   "options = {ConfigPath = \"" +
                       Node::ConfigOf("kata-nvidia-gpu") + "\"}}}\n");
    CHECK_THAT(node.Uninstall().Trouble(), Catch::Contains("take them out by hand"));
  }
  CHECK(node.root.Exists(kTop));
  CHECK(node.services.count == 0);
}

TEST_CASE("handlers without runc gave containerd 1.x none; it has its own again") {
  for (const std::string& program : RealContainerds()) {
    KataNode node(program);
    node.root.File(kMain,
                   "version = 2\n" + Tables("kata-nvidia-gpu", Node::ConfigOf("kata-nvidia-gpu")));
    Deps deps = node.deps();
    const Report report = UninstallLegacy(deps, node.options, node.config(""));
    INFO(program << report.Trouble());
    CHECK(report.AllWell());
    CHECK(node.Content(kMain) == "version = 2\n");
    CHECK(node.Handlers() == std::set<std::string>{"runc"});
  }
}

TEST_CASE("lines of a table that goes, and of what is around it") {
  const auto without = [](const std::string& text) {
    return *containerd::WithoutHandlers("f", text, {"x"});
  };
  const std::string x = "[plugins.p.containerd.runtimes.x]\r\na = [\r\n 1,\r\n# in it\r\n 2]\r\n";
  CHECK(without("") == "");
  CHECK(without("a = 1") == "a = 1");
  CHECK(without(x) == "");
  CHECK(without("v = 1\n\n" + x) == "v = 1\n");
  CHECK(without("# a\r\n" + x + "# b\r\n") == "# a\r\n# b\r\n");
  CHECK(without("v = 1\n\n" + x + "\n# b\n[c]\nd = 1") == "v = 1\n\n# b\n[c]\nd = 1");
  CHECK(without("[plugins.p.containerd.runtimes.xx]\na = 1\n" + x) ==
        "[plugins.p.containerd.runtimes.xx]\na = 1\n");
  CHECK(without("[ plugins . \"p\" . containerd.runtimes.'x' ] # c\nb = 1\n[e]\n") == "[e]\n");
  CHECK(absl::IsFailedPrecondition(
      containerd::WithoutHandlers("f", "plugins.p.containerd.runtimes.x.a = 1\n", {"x"}).status()));
  CHECK(absl::IsFailedPrecondition(
      containerd::WithoutHandlers(
          "f", "[plugins.p.containerd.runtimes.x]\na = '''\n[b]\nc = 1\n'''\n", {"x"})
          .status()));
  CHECK(absl::IsInvalidArgument(containerd::WithoutHandlers("f", "[", {"x"}).status()));
}
