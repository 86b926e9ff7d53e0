// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "libgpuhost/base/command.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);

// A full pipe with a name: who writes to it waits until it is read.
class FullFifo {
 public:
  FullFifo(fake::TempRoot& root, const std::string& path) : path_(root.Of(path).string()) {
    root.Directory(path.substr(0, path.rfind('/')));
    if (::mkfifo(path_.c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
    fd_.Reset(::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    char byte = 0;
    while (::write(fd_.get(), &byte, 1) == 1) {
    }
  }
  const std::string& path() const { return path_; }
  void Drain() {
    char bytes[4096];
    while (::read(fd_.get(), bytes, sizeof bytes) > 0) {
    }
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

// Links of the descriptors of the child of ours that has `path` open, once there is one.
std::vector<std::string> OpenInChild(const std::string& path) {
  const HostFs fs;
  SystemClock clock;
  std::vector<std::string> open;
  const auto look = [&]() -> absl::StatusOr<bool> {
    for (const std::string& pid : fs.List("/proc").value_or(std::vector<std::string>())) {
      const std::string status = fs.Read("/proc/" + pid + "/status").value_or("");
      if (status.find(fmt::format("\nPPid:\t{}\n", ::getpid())) == std::string::npos) continue;
      open.clear();
      const std::string directory = "/proc/" + pid + "/fd";
      for (const auto& fd : fs.List(directory).value_or(std::vector<std::string>())) {
        open.push_back(fs.ReadLink(directory + "/" + fd).value_or(""));
      }
      if (std::ranges::find(open, path) != open.end()) return true;
    }
    return false;
  };
  REQUIRE(PollUntil(clock, kGenerous, std::chrono::milliseconds(1), look).ok());
  return open;
}

}  // namespace

TEST_CASE("a write that blocks is given up, and its child is no zombie") {
  fake::TempRoot root;
  const FullFifo fifo(root, "/fifo");
  CHECK(absl::IsDeadlineExceeded(WriteInChild(std::chrono::milliseconds(1), fifo.path(), "1")));
  CHECK_FALSE(IsLeftBehind("fifo"));  // it could be killed
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("a child that writes has its device's lock and nothing else of ours") {
  fake::TempRoot root;
  HostFs fs(root.path());
  fake::FakeClock clock;
  FullFifo fifo(root, "/sys/bus/pci/devices/0000:01:00.0/reset");
  const std::string locks = root.Of("/run/nvidia/gpuhost/lock").string();
  const int socket = ::dup2(STDERR_FILENO, 50);  // as one without close-on-exec
  std::thread writer;
  {
    const auto mine = FileLock::Acquire(fs, clock, "0000:01:00.0", {});
    const auto other = FileLock::Acquire(fs, clock, "0000:02:00.0", {});
    writer = std::thread([&] { CHECK(WriteInChild(kGenerous, fifo.path(), "1").ok()); });
    const std::vector<std::string> open = OpenInChild(fifo.path());
    CHECK(open.size() == 3);  // these two, and the pipe to us
    CHECK(std::ranges::count(open, locks + "/0000:01:00.0") == 1);
  }
  // As after our death.
  CHECK(FileLock::HeldBy(fs, "0000:01:00.0"));
  CHECK(FileLock::Acquire(fs, clock, "0000:02:00.0", {}).ok());
  fifo.Drain();
  writer.join();
  CHECK_FALSE(FileLock::HeldBy(fs, "0000:01:00.0"));
  ::close(socket);
}

TEST_CASE("programs of others get none of our descriptors") {
  const int socket = ::dup2(STDERR_FILENO, 50);
  const auto listed = OutputOf(kGenerous, {.path = "/bin/ls", .arguments = {"/proc/self/fd"}});
  REQUIRE(listed.ok());
  CHECK(listed->find("50") == std::string::npos);
  const absl::Status status =
      RunProgram(kGenerous, "/", {"/bin/sh", "-c", "/bin/ls /proc/self/fd; exit 3"});
  CHECK(Text(status).find("2") != std::string::npos);
  CHECK(Text(status).find("50") == std::string::npos);
  ::close(socket);
}

TEST_CASE("programs run below a root, and their complaint is the error") {
  CHECK(RunProgram(kGenerous, "/", {"/bin/true"}).ok());
  CHECK(absl::IsNotFound(RunProgram(kGenerous, "/", {"/bin/no-such-program"})));
  const absl::Status status =
      RunProgram(kGenerous, "/", {"/bin/sh", "-c", "echo broken >&2; exit 3"});
  CHECK(Text(status).find("broken") != std::string::npos);
}

TEST_CASE("work is done although no thread is to be had") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);  // root has no limit
    std::atomic<int> done = 0;
    InParallel(8, [&](size_t) { ++done; });
    ::_exit(done == 8 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}
