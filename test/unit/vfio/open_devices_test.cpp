// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/open_devices.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);
const std::string kKernelThread = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7\n";
const std::string kProgram = "2 (kthreadd) S 1 2 2 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 7\n";
const dev_t kFull = makedev(1, 7);

struct Proc {
  Proc() {
    root.File("/proc/2/stat", kKernelThread);
    root.Directory("/proc/2/fd");
  }
  vfio::OpenDevices Look(Duration limit = kGenerous) {
    return vfio::FindOpenDevices(root.Of("/proc"), {kFull}, limit);
  }
  absl::Status Complete() { return Look().complete; }
  fake::TempRoot root;
};

bool Says(const absl::Status& status, const std::string& text) {
  return Text(status).find(text) != std::string::npos;
}

// Runs `body` in a process of its own; what it says.
std::string InChild(const std::function<std::string()>& body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string text = body();
    const ssize_t done = ::write(ends[1], text.data(), text.size());
    ::_exit(done == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  ::close(ends[0]);
  ::waitpid(pid, nullptr, 0);
  return text;
}

void KeepCapabilities(uint32_t effective) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[2] = {};
  ::syscall(SYS_capget, &header, sets);
  sets[0].effective &= effective;
  sets[0].permitted &= effective;
  sets[1] = {};
  ::syscall(SYS_capset, &header, sets);
}

// A process that has /dev/full open, until this is gone; `live` is its life, and says once that it
// is ready.
class Owner {
 public:
  using Ready = std::function<void()>;
  explicit Owner(const std::function<void(const Ready&)>& live = [](const Ready& ready) {
    ready();
  }) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::open("/dev/full", O_RDONLY | O_CLOEXEC) < 0) ::_exit(1);
      live([&] {
        if (::write(ends[1], "y", 1) != 1) ::_exit(1);
      });
      while (true) ::pause();
    }
    char ready = 0;
    REQUIRE(::read(ends[0], &ready, 1) == 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  pid_t pid() const { return pid_; }
  ~Owner() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool IsFound() const {
    const auto look = vfio::FindOpenDevices("/proc", {kFull}, kGenerous);
    return std::ranges::find(look.found, pid_, &vfio::OpenDevice::pid) != look.found.end();
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("a process of this machine is found by the number of what it has open") {
  CHECK(Owner().IsFound());
}

TEST_CASE("a process whose first thread has ended still has its files") {
  const Owner owner([](const Owner::Ready& ready) {
    std::thread([ready] {
      ready();
      while (true) ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // this thread alone
  });
  SystemClock clock;
  const HostFs fs;
  REQUIRE(PollUntil(clock, kGenerous, std::chrono::milliseconds(1), [&]() -> absl::StatusOr<bool> {
            const std::string stat =
                fs.Read(fmt::format("/proc/{}/stat", owner.pid())).value_or("");
            return stat.find(") Z ") != std::string::npos;
          }).ok());
  CHECK(owner.IsFound());
}

TEST_CASE("a process that hides its files makes a look incomplete, a kernel thread does not") {
  Proc proc;
  CHECK(proc.Complete().ok());
  proc.root.File("/proc/300/fd", "no directory, so that root cannot list it either");
  CHECK(proc.Complete().ok());  // it has ended meanwhile
  proc.root.File("/proc/300/stat", kKernelThread);
  CHECK(proc.Complete().ok());
  proc.root.File("/proc/300/stat", "300 (a) b) Z 1 2 2 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 7\n");
  CHECK(proc.Complete().ok());            // ended and not reaped
  for (const char* state : {"S", "Z"}) {  // a program called like a kernel thread; two threads
    proc.root.File("/proc/300/stat", fmt::format("300 (kthreadd) {} 1 2 2 0 -1 4194560 0 0 0 0 0 0 "
                                                 "0 0 20 0 2 0 7\n",
                                                 state));
    const absl::Status status = proc.Complete();
    CHECK(absl::IsPermissionDenied(status));
    CHECK(Says(status, "process 300"));
  }
}

TEST_CASE("what is seen counts although something is not") {
  Proc proc;
  proc.root.File("/proc/300/stat", kProgram);
  proc.root.File("/proc/300/fd", "");
  proc.root.Link("/proc/400/fd/3", "/dev/full");
  const vfio::OpenDevices look = proc.Look();
  CHECK_FALSE(look.complete.ok());
  REQUIRE(look.found.size() == 1);
  CHECK(look.found[0].pid == 400);
}

TEST_CASE("the capabilities that are missing are named") {
  Proc proc;
  proc.root.File("/proc/300/stat", kProgram);
  proc.root.File("/proc/300/fd", "");
  const std::string none = InChild([&] {
    KeepCapabilities(0);
    return Text(proc.Complete());
  });
  CHECK(none.find("run with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH") != std::string::npos);
}

TEST_CASE("users of other processes' files are unknown with one capability of two") {
  if (::geteuid() != 0) {
    WARN("not run: needs root");
    return;
  }
  const Owner owner([](const Owner::Ready& ready) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    ready();
  });
  constexpr std::pair<uint32_t, const char*> kCases[] = {
      {1u << CAP_SYS_PTRACE, "run with CAP_DAC_READ_SEARCH"},
      {1u << CAP_DAC_READ_SEARCH, "run with CAP_SYS_PTRACE"}};
  for (const auto& [kept, missing] : kCases) {
    const std::string text = InChild([kept = kept] {
      KeepCapabilities(kept);
      return Text(vfio::FindOpenDevices("/proc", {kFull}, kGenerous).complete);
    });
    const bool sees_host = text.find("hostPID") == std::string::npos;
    if (sees_host) {
      CHECK(text.find(missing) != std::string::npos);
    } else {
      WARN("not run: this is no first PID namespace");
    }
  }
}

TEST_CASE("another PID namespace than the host's is seen by its second process") {
  Proc proc;
  proc.root.File("/proc/2/stat", kProgram);  // whatever it calls itself
  CHECK(absl::IsFailedPrecondition(proc.Complete()));
  CHECK(Says(proc.Complete(), "hostPID: true"));
  proc.root.Remove("/proc/2");
  CHECK(absl::IsFailedPrecondition(proc.Complete()));
  CHECK(Says(proc.Complete(), "hidepid"));
  proc.root.Remove("/proc");
  CHECK(absl::IsNotFound(proc.Complete()));
}

TEST_CASE("a look that never ends is left behind, and no second one with it") {
  Proc proc;
  proc.root.Link("/proc/1/fd/3", "/dev/full");
  // Whoever opens a FIFO waits for a writer.
  const std::string stat = proc.root.Of("/proc/2/stat");
  proc.root.Remove("/proc/2/stat");
  REQUIRE(::mkfifo(stat.c_str(), 0600) == 0);
  CHECK(absl::IsDeadlineExceeded(proc.Look(std::chrono::milliseconds(200)).complete));
  const absl::Status again = proc.Look(kGenerous).complete;
  CHECK(absl::IsDeadlineExceeded(again));
  CHECK(Says(again, "does not answer"));

  const UniqueFd writer(::open(stat.c_str(), O_WRONLY | O_CLOEXEC));
  proc.root.Remove("/proc/2/stat");
  proc.root.File("/proc/2/stat", kKernelThread);
  REQUIRE(::write(writer.get(), kKernelThread.data(), kKernelThread.size()) > 0);
  SystemClock clock;
  CHECK(PollUntil(clock, kGenerous, std::chrono::milliseconds(1), [&]() -> absl::StatusOr<bool> {
          return proc.Complete().ok();
        }).ok());
}
