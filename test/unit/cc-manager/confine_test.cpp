// SPDX-License-Identifier: Apache-2.0
//
// Each side in a child of its own, for what is given up does not come back.
#include "daemons/cc-manager/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <thread>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

bool KernelHasLandlock() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

// True when `holds` is, in a child.
bool InChild(const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(holds() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN
constexpr uint64_t kHardware = 1u << 2 | 1u << 19 | 1u << 21;

// Effective and permitted ones.
uint64_t Capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) != 0) return UINT64_MAX;
  const auto all = [&](int half) { return uint64_t{sets[half].permitted | sets[half].effective}; };
  return all(1) << 32 | all(0);
}

// What root has and nobody else may touch, and what the other side needs.
struct Tree {
  Tree() {
    std::filesystem::permissions(root.path(), std::filesystem::perms(0755));
    root.File("/run/nvidia/gpuhost/cc-manager.json", "{}");
    root.File("/elsewhere/public", "x");
    for (const char* secret : {"/etc/shadow", "/sys/devices/resource0"}) {
      root.File(secret, "secret");
      ::chmod(root.Of(secret).c_str(), 0600);
    }
  }
  std::string Of(const char* path) const { return root.Of(path).string(); }
  // Confined as cc-manager is.
  absl::Status Confine() const {
    return cc_manager::ConfineApiSide({.reads = {HostFs(root.path()).Resolve("/run/nvidia")}});
  }
  fake::TempRoot root;
};

bool Refused(long result) { return result < 0 && (errno == EPERM || errno == EACCES); }

}  // namespace

TEST_CASE("the API side is nobody that matters, and stays so") {
  CHECK(InChild([] {
    return cc_manager::ConfineApiSide({}).ok() && Capabilities() == 0 &&
           ::geteuid() == cc_manager::kApiUser && ::getegid() == cc_manager::kApiUser &&
           ::getgroups(0, nullptr) == 0 && ::setuid(0) != 0 &&
           ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  }));
}

TEST_CASE("the API side ends with its parent all the same") {
  CHECK(InChild([] {
    int signal = 0;
    return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && cc_manager::ConfineApiSide({}).ok() &&
           ::prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGKILL;
  }));
}

// What somebody would try who has taken the API side over.
TEST_CASE("a compromised API side gets nothing of root's") {
  const Tree tree;
  const UniqueFd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  tree.Of("/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  REQUIRE(::bind(listening.get(), to, sizeof address) == 0);
  REQUIRE(::listen(listening.get(), 1) == 0);
  REQUIRE(::chmod(address.sun_path, 0600) == 0);
  const pid_t victim = ::fork();
  if (victim == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto refused = [&](const std::function<bool()>& attempt) {
    return InChild([&] { return tree.Confine().ok() && attempt(); });
  };
  CHECK(refused([&] { return Refused(::open(tree.Of("/etc/shadow").c_str(), O_RDONLY)); }));
  CHECK(refused(
      [&] { return Refused(::open(tree.Of("/sys/devices/resource0").c_str(), O_RDONLY)); }));
  CHECK(refused([&] { return Refused(::truncate(tree.Of("/etc/shadow").c_str(), 0)); }));
  CHECK(refused([&] { return Refused(::chmod(tree.Of("/etc/shadow").c_str(), 0666)); }));
  CHECK(refused([&] { return Refused(::chmod(tree.Of("/elsewhere/public").c_str(), 04755)); }));
  CHECK(refused([&] { return Refused(::kill(victim, SIGKILL)); }));
  CHECK(refused([&] { return Refused(::ptrace(PTRACE_ATTACH, victim, nullptr, nullptr)); }));
  CHECK(refused([&] {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    return fd && Refused(::connect(fd.get(), to, sizeof address));
  }));
  CHECK(refused([] { return Refused(::socket(AF_PACKET, SOCK_RAW, 0)); }));
  CHECK(refused([] { return Refused(::socket(AF_VSOCK, SOCK_STREAM, 0)); }));
  CHECK(refused([] { return Refused(::unshare(CLONE_NEWUSER)); }));
  CHECK(refused([] { return Refused(::mount("none", "/mnt", "tmpfs", 0, nullptr)); }));
  CHECK(refused([] { return Refused(::syscall(SYS_bpf, 0, nullptr, 0)); }));
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
}

TEST_CASE("the API side can still do its work") {
  const Tree tree;
  CHECK(InChild([&] {
    if (!tree.Confine().ok()) return false;
    const HostFs fs(tree.root.path());
    std::thread([] {}).join();
    return fs.Read("/run/nvidia/gpuhost/cc-manager.json").ok() &&
           HostFs().Read("/etc/hosts").ok() && UniqueFd(::socket(AF_INET6, SOCK_STREAM, 0)) &&
           UniqueFd(::socket(AF_NETLINK, SOCK_RAW, 0)) && HostFs().Open("/dev/null", O_RDWR).ok();
  }));
}

TEST_CASE("the API side reads what it needs and writes nothing") {
  if (!KernelHasLandlock()) {
    WARN("not tested: this kernel has no Landlock");
    return;
  }
  const Tree tree;
  CHECK(InChild([&] {
    if (::chmod(tree.Of("/run/nvidia/gpuhost").c_str(), 0777) != 0 || !tree.Confine().ok()) {
      return false;
    }
    HostFs fs(tree.root.path());
    return !fs.Read("/elsewhere/public").ok() &&
           !fs.WriteFileAtomic("/run/nvidia/gpuhost/new.json", "", 0644).ok();
  }));
}

TEST_CASE("the process for files is root without capabilities, and writes in its directories") {
  Tree tree;
  CHECK(InChild([&] {
    HostFs fs(tree.root.path());
    const bool confined = cc_manager::ConfineFilesSide({fs.Resolve("/run/nvidia")}).ok();
    return confined && Capabilities() == 0 && ::geteuid() == 0 &&
           fs.WriteFileAtomic("/run/nvidia/gpuhost/x.json", "", 0644).ok() &&
           (!KernelHasLandlock() || !fs.WriteFileAtomic("/elsewhere/x", "", 0644).ok());
  }));
}

TEST_CASE("the hardware side keeps three capabilities at most, and sees other processes") {
  CHECK(InChild([&] {
    const uint64_t others = Capabilities() & ~kHardware;
    const bool had = (Capabilities() & kHardware) == kHardware;
    const bool confined = cc_manager::ConfineHardwareSide().ok();
    const bool sees = HostFs().ReadLink(fmt::format("/proc/{}/fd/1", ::getppid())).ok();
    return confined && (Capabilities() & others) == 0 && (!had || Capabilities() == kHardware) &&
           sees;
  }));
}
