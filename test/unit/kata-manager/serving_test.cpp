// SPDX-License-Identifier: Apache-2.0
//
// Which containerd is meant, where several could be.
#include "daemons/kata-manager/containerd/serving.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

constexpr const char* kOther = "/etc/node-containerd.toml";
const std::string kK3s = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";

struct Node : KataNode {
  Node() { root.File(kMain, "version = 2\n"); }
  absl::StatusOr<containerd::Location> Find(const containerd::Hints& hints = {}) {
    return containerd::FindServing({kernel, kernel, services}, hints);
  }
  std::string Refusal(const containerd::Hints& hints = {}) { return Text(Find(hints).status()); }
  void AddKubelet(const std::vector<std::string>& arguments,
                  const std::string& uids = "0\t0\t0\t0") {
    fake::AddProcess(root, {.pid = 700,
                            .comm = "kubelet",
                            .exe = "/usr/bin/kubelet",
                            .arguments = arguments,
                            .cgroup = "0::/system.slice/kubelet.service",
                            .uids = uids});
  }
  void AddK3s() {
    const std::string its = "/var/lib/rancher/k3s/data/current/bin/containerd";
    root.File(its, "");
    root.File(kK3s,
              "version = 3\nimports = [\"/var/lib/rancher/k3s/agent/etc/containerd/"
              "config-v3.toml.d/*.toml\"]\n");
    services.others["k3s.service"] = {.active = true, .state = "active", .main_pid = 1000};
    fake::AddProcess(root, {.pid = 2345,
                            .exe = root.Of(program).string(),
                            .arguments = {"containerd", "-c", kK3s},
                            .cgroup = "0::/system.slice/k3s.service"});
  }
};

}  // namespace

TEST_CASE("global options of containerd, as it takes them") {
  using containerd::OptionIn;
  const std::vector<std::string> names = {"c", "config"};
  CHECK(OptionIn({"containerd"}, names) == std::nullopt);
  CHECK(OptionIn({"containerd", "-c", "/x"}, names) == "/x");
  CHECK(OptionIn({"containerd", "--log-level", "-c", "--config=/y"}, names) == "/y");
  CHECK(OptionIn({"containerd", "-c", "/x", "-config", "/y"}, names) == "/y");
  CHECK(OptionIn({"containerd", "config", "dump", "-c", "/x"}, names) == std::nullopt);
  CHECK(OptionIn({"containerd", "-c"}, names) == "");
}

TEST_CASE("variables of a unit, as systemd puts them in") {
  CHECK(WithVariables({"containerd", "--config", "${FILE}", "$LEVEL", "$MORE", "a$FILE"},
                      {"FILE=/x/config.toml", "LEVEL=--log-level=debug", "MORE=a b"}) ==
        std::vector<std::string>{"containerd", "--config", "/x/config.toml", "--log-level=debug",
                                 "$MORE", "a$FILE"});
}

TEST_CASE("the file of the process that runs is the one that is edited") {
  Node node;
  node.root.File(kOther, "version = 2\n");
  node.RunWith({"/usr/bin/containerd", "-c", kOther});
  node.services.unit.command = {"/usr/bin/containerd", "-c", kOther};
  CHECK(node.Find()->main == kOther);
  CHECK(node.Find()->file == "/etc/conf.d/gpuhost-kata.toml");
  node.tells = false;
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(node.Content(kOther), Catch::Contains("kata-x"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 1);
}

TEST_CASE("one that does not run has the file that its unit would give it") {
  Node node;
  node.root.Remove("/proc/900");
  node.services.unit.active = false;
  node.services.unit.main_pid = 0;
  node.services.unit.command = {"/usr/bin/containerd", "--config", "/usr/share/c/config.toml"};
  CHECK(node.Find()->main == "/usr/share/c/config.toml");
  node.services.unit.command = {"/usr/bin/containerd", "--config", "${FILE}"};
  CHECK_THAT(node.Refusal(), Catch::Contains("${FILE}, whose variable is not known"));
  CHECK(node.Find({.main = kMain})->main == kMain);
}

TEST_CASE("a file of the distribution is not edited, and what to do is said") {
  Node node;
  const std::string main = "/usr/share/containerd/config.toml";
  node.root.Remove("/proc/900");
  node.services.name = "nothing.service";
  node.root.File(main, "version = 2\n");
  node.root.File("/usr/lib/systemd/system/containerd.service",
                 "[Service]\nEnvironment=CONTAINERD_CONFIG=/etc/old.toml\n"
                 "ExecStart=-/usr/bin/containerd \\\n  --config ${CONTAINERD_CONFIG}\n");
  node.root.File("/etc/systemd/system/containerd.service.d/a.conf",
                 "[Service]\nEnvironment=\"CONTAINERD_CONFIG=" + main + "\" OTHER=1\n");
  struct Away : Services {
    absl::StatusOr<Unit> Look(const std::string&) override { return absl::UnavailableError(""); }
    absl::Status Restart(const std::string&, Duration) override {
      return absl::UnavailableError("");
    }
  } away;
  const auto found = containerd::FindServing({node.kernel, node.kernel, away}, {});
  INFO(Text(found.status()));
  REQUIRE(found.ok());
  CHECK(found->main == main);
  CHECK_FALSE(found->editable);
  CHECK_THAT(found->why_not, Catch::Contains("systemctl edit containerd.service"));
  node.root.File(main, "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n");
  CHECK(containerd::FindServing({node.kernel, node.kernel, away}, {})->file ==
        "/etc/containerd/conf.d/gpuhost-kata.toml");
}

TEST_CASE("two answers to the question for the file are a refusal that names both") {
  Node node;
  node.RunWith({"/usr/bin/containerd", "-c", kOther});
  CHECK_THAT(node.Refusal(), Catch::Contains(std::string("process 900 runs with ") + kOther) &&
                                 Catch::Contains(std::string("would start it with ") + kMain));
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("Nothing is changed"));
  node.services.unit.command = {"/usr/bin/containerd", "-c", kOther};
  CHECK_THAT(node.Refusal({.main = "/x/config.toml"}),
             Catch::Contains(kOther) && Catch::Contains("--containerd-config says /x/config.toml"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 0);
}

TEST_CASE("what somebody else's process says of itself does not count") {
  Node node;
  const auto impostor = [&](fake::NodeProcess process) {
    process.pid = 5;
    process.arguments = {"containerd", "-c", "/tmp/mine.toml"};
    fake::AddProcess(node.root, process);
    const auto found = node.Find();
    INFO(Text(found.status()));
    REQUIRE(found.ok());
    CHECK(found->main == kMain);
    CHECK(found->programs == std::vector<std::string>{"/usr/bin/containerd"});
  };
  impostor({.exe = "/usr/bin/bash", .uids = "1000\t1000\t1000\t1000"});
  impostor({.exe = "/usr/bin/containerd", .mnt = "4026532000"});
  impostor({.exe = "/usr/bin/containerd", .cgroup = "0::/system.slice/docker.service"});
}

TEST_CASE("k3s beside Docker's containerd is k3s, with its own program") {
  Node node;
  node.AddK3s();
  const auto found = node.Find();
  INFO(Text(found.status()));
  REQUIRE(found.ok());
  CHECK(found->flavor == "k3s");
  CHECK(found->main == kK3s);
  CHECK(found->programs ==
        std::vector<std::string>{"/var/lib/rancher/k3s/data/current/bin/containerd"});
}

TEST_CASE("a directory that k3s left behind does not hide the containerd that runs") {
  Node node;
  node.root.File(kK3s, "");
  CHECK(node.Find()->flavor == "plain");
}

TEST_CASE("two distributions that run are a refusal that names both") {
  Node node;
  node.AddK3s();
  fake::AddProcess(node.root, {.pid = 2400, .cgroup = "0::/system.slice/k0sworker.service"});
  CHECK_THAT(node.Refusal(), Catch::Contains("process 2400 of k0sworker.service") &&
                                 Catch::Contains("process 2345 of k3s.service"));
}

TEST_CASE("the kubelet's container runtime is the one that is meant") {
  Node node;
  node.AddKubelet(
      {"kubelet", "--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock"});
  CHECK(node.Find().ok());
  node.AddKubelet({"kubelet", "--container-runtime-endpoint", "unix:///run/crio/crio.sock"});
  CHECK_THAT(node.Refusal(), Catch::Contains("process 700, uses unix:///run/crio/crio.sock") &&
                                 Catch::Contains("containerd listens at /run/containerd"));
  node.root.File("/etc/k.yaml", "containerRuntimeEndpoint: unix:///run/cri-dockerd.sock\n");
  node.AddKubelet({"kubelet", "--config", "/etc/k.yaml"});
  CHECK_THAT(node.Refusal(), Catch::Contains("unix:///run/cri-dockerd.sock"));
  node.AddKubelet({"kubelet", "--config", "/etc/k.yaml"}, "7\t7\t7\t7");
  CHECK(node.Find().ok());
}

TEST_CASE("a program beside the one that runs is not asked") {
  Node node;
  node.root.File("/usr/local/bin/containerd", "");
  fake::AddProcess(node.root, {.pid = 900,
                               .exe = node.root.Of("/usr/local/bin/containerd").string(),
                               .arguments = {"/usr/local/bin/containerd"}});
  CHECK(node.Find()->programs == std::vector<std::string>{"/usr/local/bin/containerd"});
  fake::AddProcess(node.root, {.pid = 900, .exe = "/opt/mine/containerd"});
  CHECK_THAT(Text(node.Find()->program_problem),
             Catch::Contains("process 900 runs /opt/mine/containerd") &&
                 Catch::Contains("/usr/local/bin/containerd"));
}

TEST_CASE("a containerd of another version than the program that can be asked changes nothing") {
  Node node;
  node.answers = {"containerd", "v2.2.9"};
  CHECK_THAT(node.Apply(kOneClass).Trouble(),
             Catch::Contains("containerd v2.2.9 answers at /run/containerd/containerd.sock") &&
                 Catch::Contains("1.6.20"));
  node.answers = {"cri-o", "1.37.0"};
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("cri-o 1.37.0 answers"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 0);
}

TEST_CASE("MicroK8s' file is its own whatever its revision is called") {
  Node node;
  node.root.Remove("/proc/900");
  const std::string program = "/snap/microk8s/current/bin/containerd";
  node.root.File(program, "");
  node.root.File("/var/snap/microk8s/current/args/containerd-template.toml", "version = 2\n");
  fake::AddProcess(node.root,
                   {.pid = 42,
                    .exe = node.root.Of(program).string(),
                    .arguments = {"/snap/microk8s/8511/bin/containerd", "--config",
                                  "/var/snap/microk8s/8511/args/containerd.toml"},
                    .cgroup = "0::/system.slice/snap.microk8s.daemon-containerd.service"});
  const auto found = node.Find();
  INFO(Text(found.status()));
  REQUIRE(found.ok());
  CHECK(found->main == "/var/snap/microk8s/current/args/containerd-template.toml");
  CHECK(found->programs == std::vector<std::string>{program});
}

TEST_CASE("k0s merges our file; its main file imports what it made (k0s 1.27 and newer)") {
  Node node;
  node.root.Remove("/proc/900");
  node.root.File("/etc/k0s/containerd.toml",
                 "# k0s_managed=true\nversion = 2\nimports = [\"/run/k0s/containerd-cri.toml\"]\n");
  node.root.File("/run/k0s/containerd-cri.toml",
                 "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nenable_selinux = false\n");
  node.services.name = "k0sworker.service";
  const std::string own = "/etc/k0s/containerd.d/gpuhost-kata.toml";
  CHECK_THAT(node.Apply(kOneClass).Trouble(),
             Catch::Contains("k0sworker.service has to be restarted by hand"));
  CHECK_THAT(node.Content(own), Catch::Contains("[plugins.\"io.containerd.grpc.v1.cri\".containerd."
                                                "runtimes.kata-x]") &&
                                    !Catch::Contains("version ="));
  CHECK(node.services.count == 0);
  node.services.now += 60;
  node.services.Start();
  node.running = std::set<std::string>{"runc", "kata-x"};
  CHECK(node.Apply(kOneClass).AllWell());
  node.root.File("/etc/k0s/containerd.toml", "version = 2\n");
  node.root.Remove(own);
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("k0s_managed=true"));
}
