// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "daemons/node-validator/observe/containerd.h"
#include "daemons/node-validator/report/report.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"
#include "test/fake/node_process.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;
using Catch::Matchers::Contains;
using fake::NodeProcess;

namespace {

// The healthy node (containerd 1201, kubelet 1302) with something more.
struct World {
  test::NodeTree node{"snp-healthy"};
  fake::TempRoot& root = node.root();

  Facts Look() {
    const HostFs fs(root.path());
    const Tree tree(fs);
    return Observe(tree, *AskCapture(tree));
  }
  void Answer(const std::string& name, const std::string& text) {
    root.File(fmt::format("{}/{}", kCapture, name), text);
  }
};

const Finding& FindingOf(const Report& report, std::string_view id) {
  return std::ranges::find(report.lines, id, [](const Line& line) { return line.check->id; })
      ->finding;
}

// k3s as a service: its process, its containerd, and their configuration.
void AddK3s(World& world) {
  fake::AddProcess(world.root, {.pid = 2300,
                                .comm = "k3s-server",
                                .exe = "/var/lib/rancher/k3s/data/0/bin/k3s",
                                .arguments = {"/usr/local/bin/k3s server"},
                                .cgroup = "0::/system.slice/k3s.service"});
  const char* file = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";
  fake::AddProcess(world.root, {.pid = 2345,
                                .exe = "/var/lib/rancher/k3s/data/0/bin/containerd",
                                .arguments = {"containerd", "-c", file},
                                .cgroup = "0::/system.slice/k3s.service"});
  world.root.File(file, "version = 3\n[grpc]\naddress = \"/run/k3s/containerd/containerd.sock\"\n");
  world.root.File("/run/k3s/containerd/containerd.sock",
                  RenderStub({.kind = Kind::kSocket, .mode = 0600}, {}));
  world.Answer("runtime-version@%run%k3s%containerd%containerd.sock",
               "ok\ncontainerd v2.1.4-k3s1\n");
  world.root.Remove("/proc/1302");
}

}  // namespace

TEST_CASE("another containerd of any kind with a lower number changes nothing") {
  const NodeProcess others[] = {
      // Docker CE without a containerd of its own starts one.
      {.pid = 100,
       .arguments = {"containerd", "--config", "/var/run/docker/containerd/containerd.toml"},
       .cgroup = "0::/system.slice/docker.service"},
      // Inside a container, root's there; a user's; one of a user namespace.
      {.pid = 100, .arguments = {"containerd", "-c", "/x"}, .mnt = "4026532999"},
      {.pid = 100, .arguments = {"containerd", "-c", "/x"}, .pid_namespace = "4026532999"},
      {.pid = 100, .arguments = {"containerd", "-c", "/x"}, .uids = "65534\t65534\t65534\t65534"},
      {.pid = 100, .arguments = {"containerd", "-c", "/x"}, .user = "4026532999"},
  };
  for (const NodeProcess& other : others) {
    for (const bool asked : {true, false}) {
      World world;
      fake::AddProcess(world.root, other);
      if (!asked)
        world.root.Remove("/.gpuhost-capture/socket-peer@%run%containerd%containerd.sock");
      const Facts facts = world.Look();
      REQUIRE(facts.containerd.process);
      CHECK(facts.containerd.process->pid == 1201);
      CHECK(facts.containerd.main_file == "/etc/containerd/config.toml");
      CHECK(VerdictOf(Judge(facts)) == Verdict::kReady);
    }
  }
}

TEST_CASE("beside Docker's containerd, that of k3s is the kubelet's") {
  World world;
  AddK3s(world);
  const Facts facts = world.Look();
  REQUIRE(facts.containerd.process);
  CHECK(facts.containerd.process->pid == 2345);
  CHECK(facts.containerd.version == Version{2, 1, 4});
  CHECK(facts.containerd.socket == "/run/k3s/containerd/containerd.sock");
  CHECK(facts.containerd.distribution == "k3s");
  CHECK(facts.kubelet.embedded_in == "k3s-server");
}

TEST_CASE("a user's k3s is no kubelet") {
  World world;
  AddK3s(world);
  world.root.File("/proc/2300/status", "State:\tS\nUid:\t1000\t1000\t1000\t1000\n");
  world.root.Remove("/proc/2345");
  const Facts facts = world.Look();
  CHECK(facts.kubelet.embedded_in.empty());
  CHECK(facts.kubelet.known.ok());
  CHECK(FindingOf(Judge(facts), "KUBELET-RUN").state == State::kFail);
}

TEST_CASE("which of two containerds it is stays unknown without a kubelet, and both are named") {
  World world;
  AddK3s(world);
  world.root.Remove("/proc/2300");
  const Facts facts = world.Look();
  CHECK(!facts.containerd.process);
  CHECK_THAT(Text(facts.containerd.known),
             Contains("pid 1201 (containerd.service)") && Contains("pid 2345 (k3s.service)"));
  const Report report = Judge(facts);
  CHECK(FindingOf(report, "CTR-RUN").state == State::kUnknown);
  for (const char* id : {"CTR-CONF", "CTR-DEFAULT", "CTR-HANDLER", "MEMLOCK"}) {
    CAPTURE(id);
    CHECK(FindingOf(report, id).observed == "see CTR-RUN");
  }
}

TEST_CASE("the process that listens on the kubelet's socket counts, whoever has started it") {
  World world;
  world.root.File("/proc/1201/cgroup", "0::/user.slice/user-0.slice/session-3.scope\n");
  CHECK(world.Look().containerd.process->pid == 1201);
  // Nobody knows who listens.
  world.root.Remove("/.gpuhost-capture/socket-peer@%run%containerd%containerd.sock");
  const Facts facts = world.Look();
  CHECK(!facts.containerd.process);
  CHECK_THAT(Text(facts.containerd.known), Contains("pid 1201 (in no service)"));
}

TEST_CASE("a process that cannot be judged is unknown, not absent") {
  World world;
  world.root.Remove("/proc/1201/ns/mnt");
  world.root.Remove("/proc/1302/ns/pid");
  const Report report = Judge(world.Look());
  for (const char* id : {"CTR-RUN", "KUBELET-RUN", "CTR-VER", "KUBELET-TIME"}) {
    CAPTURE(id);
    CHECK(FindingOf(report, id).state == State::kUnknown);
  }
  CHECK_THAT(FindingOf(report, "CTR-RUN").observed, Contains("process 1201"));
  CHECK_THAT(FindingOf(report, "KUBELET-RUN").observed, Contains("process 1302"));
}

TEST_CASE("a kubelet that is not the node's own leads to no file") {
  World world;
  NodeProcess kubelet{.pid = 100,
                      .comm = "kubelet",
                      .exe = "/usr/bin/bash",
                      .arguments = {"kubelet", "--root-dir=/tmp/x", "--config=/tmp/x/c"},
                      .cgroup = "0::/user.slice/user-1000.slice/session-1.scope",
                      .uids = "1000\t1000\t1000\t1000"};
  fake::AddProcess(world.root, kubelet);
  CHECK(world.Look().kubelet.root == "/var/lib/kubelet");
  world.root.Remove("/proc/1302");
  Facts facts = world.Look();
  CHECK(!facts.kubelet.process);
  CHECK(facts.kubelet.root == "/var/lib/kubelet");
  CHECK(FindingOf(Judge(facts), "KUBELET-RUN").state == State::kFail);
  // Root's, by hand: unknown, unless it serves the kubelet's socket.
  kubelet.uids = "0\t0\t0\t0";
  fake::AddProcess(world.root, kubelet);
  facts = world.Look();
  CHECK(!facts.kubelet.process);
  CHECK(FindingOf(Judge(facts), "KUBELET-RUN").state == State::kUnknown);
  world.root.File("/tmp/x/pod-resources/kubelet.sock",
                  RenderStub({.kind = Kind::kSocket, .mode = 0600}, {}));
  world.Answer("socket-peer@%tmp%x%pod-resources%kubelet.sock", "ok\n100");
  CHECK(world.Look().kubelet.root == "/tmp/x");
}

TEST_CASE("of a program that was replaced, or is another, the version is not taken") {
  World world;
  CHECK(world.Look().kubelet.version == Version{1, 34, 2});
  world.root.Link("/proc/1302/exe", "/usr/bin/kubelet (deleted)");
  world.root.Remove("/.gpuhost-capture/version@%usr%bin%kubelet");
  CHECK(world.Look().kubelet.version == Version{});
}

TEST_CASE("nothing is run that a user's process names: the whole way on this machine") {
  if (::geteuid() != 0) return;
  fake::TempRoot root;
  std::filesystem::permissions(root.path(), std::filesystem::perms::all);
  const std::string marker = root.Of("/marker").string();
  std::vector<pid_t> impostors;
  std::vector<UniqueFd> ends;
  for (const char* name : {"containerd", "kubelet", "crio", "k3s-server"}) {
    int ready[2], held[2];  // it waits for the end of the second
    REQUIRE((::pipe(ready) == 0 && ::pipe2(held, O_CLOEXEC) == 0));
    ends.emplace_back(held[1]);
    impostors.push_back(::fork());
    if (impostors.back() == 0) {
      ::dup2(held[0], 0);
      ::dup2(ready[1], 1);
      const bool user =
          ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
      const std::string script = fmt::format(
          "id -u >> {}; printf {} > /proc/$$/comm; echo; read -r x; true", marker, name);
      if (user) ::execl("/bin/bash", name, "-c", script.c_str(), "--config=/tmp/x", nullptr);
      ::_exit(127);
    }
    ::close(held[0]);
    char byte = 0;
    ::close(ready[1]);
    CHECK(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  HostFs fs;
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  const Tree tree(fs);
  const auto node = AskNode(tree, {fs, clock, registers});
  const KubeletFacts kubelet = ObserveKubelet(tree, *node);
  const Containerd containerd = ObserveContainerd(tree, *node, kubelet);
  for (const pid_t pid : impostors) {
    if (kubelet.process) CHECK(kubelet.process->pid != pid);
    if (containerd.process) CHECK(containerd.process->pid != pid);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  CHECK(!containerd.crio);
  CHECK(root.Content("/marker") == "65534\n65534\n65534\n65534\n");
}
