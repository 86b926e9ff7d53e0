// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/node/process.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "libgpuhost/base/status.h"
#include "test/fake/node_process.h"

using namespace gpuhost;
using Catch::Matchers::Contains;
using fake::NodeProcess;

namespace {

std::vector<int> Pids(const std::vector<node::Process>& processes) {
  std::vector<int> pids;
  for (const node::Process& process : processes) pids.push_back(process.pid);
  return pids;
}

// A node with the real containerd as process 900, and what `other` is changed to as process 100.
node::Processes With(const NodeProcess& other, std::string_view name = "containerd") {
  fake::TempRoot root;
  fake::AddInit(root);
  fake::AddProcess(root, {.pid = 900});
  fake::AddProcess(root, other);
  return node::OwnProcesses(HostFs(root.path()), name);
}

// Of this machine, until it is killed: named "containerd", as that user, and with namespaces of its
// own if wanted.
class Impostor {
 public:
  Impostor(uid_t uid, int namespaces) {
    int ready[2];
    if (::pipe(ready) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      const bool done = (namespaces == 0 || ::unshare(namespaces) == 0) &&
                        (uid == 0 || ::setresuid(uid, uid, uid) == 0) &&
                        ::prctl(PR_SET_NAME, "containerd") == 0 && ::write(ready[1], done_, 1) == 1;
      if (done) ::pause();
      ::_exit(1);
    }
    char byte = 0;
    ::close(ready[1]);
    works_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  ~Impostor() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int pid() const { return pid_; }
  bool works() const { return works_; }

 private:
  static constexpr char done_[] = "!";
  int pid_ = 0;
  bool works_ = false;
};

}  // namespace

TEST_CASE("the node's own containerd is told with what it was started by") {
  fake::TempRoot root;
  fake::AddInit(root);
  fake::AddProcess(root, {.pid = 900,
                          .exe = "/usr/bin/containerd (deleted)",
                          .arguments = {"/usr/bin/containerd", "-c", "/etc/x y.toml"}});
  const auto found = node::OwnProcesses(HostFs(root.path()), "containerd");
  CHECK(found.complete.ok());
  REQUIRE(found.own.size() == 1);
  CHECK(found.own[0].pid == 900);
  CHECK(found.own[0].exe == "/usr/bin/containerd");
  CHECK(found.own[0].replaced);
  CHECK(found.own[0].arguments ==
        std::vector<std::string>{"/usr/bin/containerd", "-c", "/etc/x y.toml"});
  CHECK(found.own[0].unit == "containerd.service");
}

TEST_CASE("a process that only has the name is not the node's own, whatever its number") {
  for (const char* uids : {"65534\t65534\t65534\t65534", "1000\t0\t0\t0", "0\t1000\t0\t0",
                           "0\t0\t1000\t0", "0\t0\t0\t1000"}) {
    CAPTURE(uids);
    const auto found = With({.uids = uids});
    CHECK(Pids(found.own) == std::vector{900});
    CHECK(found.elsewhere.empty());
    CHECK(found.complete.ok());
  }
  for (const NodeProcess& other :
       {NodeProcess{.mnt = "4026532000"}, NodeProcess{.pid_namespace = "4026532000"},
        NodeProcess{.user = "4026532000"}}) {
    const auto found = With(other);
    CHECK(Pids(found.own) == std::vector{900});
    CHECK(found.elsewhere.empty());
    CHECK(found.complete.ok());
  }
}

TEST_CASE("root's process of that name in no service of it is told apart: Docker's containerd") {
  const auto found = With({.arguments = {"containerd", "--config", "/var/run/docker/x.toml"},
                           .cgroup = "0::/system.slice/docker.service"});
  CHECK(Pids(found.own) == std::vector{900});
  CHECK(Pids(found.elsewhere) == std::vector{100});
  CHECK(found.elsewhere[0].unit == "docker.service");
}

TEST_CASE("each distribution's services are known") {
  struct Case {
    const char *name, *unit;
  };
  const Case cases[] = {{"containerd", "k3s.service"},
                        {"containerd", "k3s-agent.service"},
                        {"containerd", "rke2-server.service"},
                        {"containerd", "rke2-agent.service"},
                        {"containerd", "k0scontroller.service"},
                        {"containerd", "k0sworker.service"},
                        {"containerd", "snap.microk8s.daemon-containerd.service"},
                        {"crio", "crio.service"},
                        {"kubelet", "kubelet.service"},
                        {"kubelet", "rke2-agent.service"},
                        {"kubelet", "k0sworker.service"},
                        {"k3s-server", "k3s.service"},
                        {"k3s-agent", "k3s-agent.service"},
                        {"kubelite", "snap.microk8s.daemon-kubelite.service"}};
  for (const Case& one : cases) {
    CAPTURE(one.name, one.unit);
    const NodeProcess process{
        .comm = one.name, .exe = "/x", .cgroup = std::string("0::/system.slice/") + one.unit};
    CHECK(Pids(With(process, one.name).own).front() == 100);
    NodeProcess user = process;
    user.cgroup = std::string("0::/user.slice/user-0.slice/session-1.scope/") + one.unit;
    CHECK(Pids(With(user, one.name).elsewhere) == std::vector{100});
  }
}

TEST_CASE("a shim counts in its pod's cgroup, by the name of its file and not by its argument") {
  const NodeProcess shim{.comm = "containerd-shim",
                         .exe = "/opt/kata/bin/containerd-shim-kata-v2",
                         .arguments = {"/opt/kata/bin/containerd-shim-kata-v2", "-id", "a"},
                         .cgroup = "0::/kubepods.slice/kubepods-pod1.slice/kata_overhead"};
  CHECK(Pids(With(shim, "containerd-shim-kata-v2").own) == std::vector{100});
  NodeProcess runc = shim;
  runc.exe = "/usr/bin/containerd-shim-runc-v2";
  CHECK(With(runc, "containerd-shim-kata-v2").own.empty());
  NodeProcess users = shim;
  users.uids = "65534\t65534\t65534\t65534";
  CHECK(With(users, "containerd-shim-kata-v2").own.empty());
}

TEST_CASE("what cannot be read is unknown and not absent") {
  const auto without = [](const char* path) {
    fake::TempRoot root;
    fake::AddInit(root);
    fake::AddProcess(root, {.pid = 900});
    root.Remove(path);
    return node::OwnProcesses(HostFs(root.path()), "containerd");
  };
  for (const char* path :
       {"/proc/900/status", "/proc/900/ns/mnt", "/proc/900/ns/pid", "/proc/900/ns/user",
        "/proc/900/cgroup", "/proc/1/ns/mnt", "/proc/1/ns/pid", "/proc/1/cgroup"}) {
    CAPTURE(path);
    const auto found = without(path);
    CHECK(found.own.empty());
    CHECK(absl::IsFailedPrecondition(found.complete));
    CHECK_THAT(Text(found.complete), Contains("process 900 (containerd)"));
  }
  // A kernel without user namespaces has the file of no process.
  CHECK(without("/proc/1/ns/user").own.size() == 1);
  for (const char* path : {"/proc", "/proc/1"}) CHECK(!without(path).complete.ok());
}

TEST_CASE("a process that has ended meanwhile is none") {
  fake::TempRoot root;
  fake::AddInit(root);
  fake::AddProcess(root, {.pid = 900});
  root.File("/proc/900/status", "Name:\tcontainerd\nState:\tZ (zombie)\nUid:\t0\t0\t0\t0\n");
  const auto found = node::OwnProcesses(HostFs(root.path()), "containerd");
  CHECK(found.own.empty());
  CHECK(found.complete.ok());
}

TEST_CASE("a described process cannot lead elsewhere") {
  fake::TempRoot root, other;
  fake::AddInit(root);
  fake::AddProcess(other, {.pid = 900});
  root.Link("/proc/900", other.Of("/proc/900").string());
  CHECK(node::OwnProcesses(HostFs(root.path()), "containerd").own.empty());
  root.Remove("/proc/900");
  fake::AddProcess(root, {.pid = 900});
  root.Link("/proc/900/status", other.Of("/proc/900/status").string());
  CHECK(node::OwnProcesses(HostFs(root.path()), "containerd").own.empty());
}

TEST_CASE("this machine's kernel proves what is nobody's own") {
  const HostFs fs("/");
  if (::geteuid() != 0) return;
  // Some containers do not show root the namespaces of process 1; then root's are unknown.
  const bool told = fs.ReadLink("/proc/1/ns/mnt").ok() && fs.ReadLink("/proc/self/ns/mnt").ok();
  struct Kind {
    uid_t uid;
    int namespaces;
  };
  for (const Kind kind :
       {Kind{65534, 0}, Kind{65534, CLONE_NEWNS}, Kind{0, CLONE_NEWNS}, Kind{0, CLONE_NEWUSER}}) {
    const Impostor impostor(kind.uid, kind.namespaces);
    if (!impostor.works()) continue;  // a container that may make no namespaces
    const auto found = node::OwnProcesses(fs, "containerd");
    CAPTURE(kind.uid, kind.namespaces, found.complete.message());
    CHECK(std::ranges::count(Pids(found.own), impostor.pid()) == 0);
    CHECK(std::ranges::count(Pids(found.elsewhere), impostor.pid()) == 0);
    if (kind.uid != 0 || told) CHECK(found.complete.ok());
  }
  const Impostor roots(0, 0);
  REQUIRE(roots.works());
  const auto found = node::OwnProcesses(fs, "containerd");
  CHECK(std::ranges::count(Pids(found.own), roots.pid()) == 0);
  CHECK(std::ranges::count(Pids(found.elsewhere), roots.pid()) == (told ? 1 : 0));
  CHECK(found.complete.ok() == told);
}

TEST_CASE("who listens on a socket is told by the kernel") {
  fake::TempRoot root;
  const std::string path = root.Of("/s.sock").string();
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const HostFs fs("/");
  CHECK(absl::IsUnavailable(node::PeerProcess(fs, path).status()));
  CHECK(absl::IsNotFound(node::PeerProcess(fs, path + "x").status()));
  REQUIRE(::listen(fd.get(), 1) == 0);
  const auto peer = node::PeerProcess(fs, path);
  if (peer.ok()) CHECK(peer->pid == ::getpid());
  if (::geteuid() == 0 && fs.ReadLink("/proc/1/ns/mnt").ok()) CHECK(peer.ok());
  // Where the processes are not those of our PID namespace the number says nothing.
  fake::AddInit(root);
  root.Link("/proc/self/ns/pid", "pid:[1]");
  CHECK(absl::IsFailedPrecondition(node::PeerProcess(HostFs(root.path()), "/s.sock").status()));
}
