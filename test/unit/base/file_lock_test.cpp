// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/file_lock.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

const std::string kName = "0000:01:00.0";
const std::string kPath = "/run/nvidia/gpuhost/lock/" + kName;

struct Bench {
  absl::StatusOr<FileLock> Acquire(const std::string& name = kName) {
    return FileLock::Acquire(fs, clock, name, std::chrono::seconds(1));
  }
  mode_t ModeOf(const std::string& path) const {
    struct stat info {};
    ::stat(root.Of(path).c_str(), &info);
    return info.st_mode & 07777;
  }
  fake::TempRoot root;
  HostFs fs{root.path()};
  fake::FakeClock clock;
};

}  // namespace

TEST_CASE("a lock has one holder, and the next one is told who") {
  Bench bench;
  {
    CHECK_FALSE(FileLock::HeldBy(bench.fs, kName));
    const auto first = bench.Acquire();
    REQUIRE(first.ok());
    const auto second = bench.Acquire();
    CHECK(absl::IsUnavailable(second.status()));
    const std::string holder = fmt::format("process {} (base-tests)", ::getpid());
    CHECK(Text(second.status()).find(holder) != std::string::npos);
    CHECK(FileLock::HeldBy(bench.fs, kName) == holder);
    CHECK(bench.Acquire("0000:02:00.0").ok());
  }
  CHECK_FALSE(FileLock::HeldBy(bench.fs, kName));
  CHECK(bench.Acquire().ok());
}

TEST_CASE("the number of a holder in another PID namespace is not taken for one of ours") {
  Bench bench;
  const auto held = bench.Acquire();
  bench.root.File(kPath, "1 pid:[12345] cc-manager\n");
  CHECK(FileLock::HeldBy(bench.fs, kName) ==
        "cc-manager in another PID namespace, where it is process 1");
  bench.root.File(kPath, "5688\n");  // as earlier versions wrote it
  CHECK(FileLock::HeldBy(bench.fs, kName) == "another process");
}

TEST_CASE("locks are closed to others, also in a directory that was open before") {
  Bench bench;
  bench.root.File(kPath, "5688\n");
  REQUIRE(bench.Acquire().ok());
  CHECK(bench.ModeOf("/run/nvidia/gpuhost/lock") == 0700);
}

TEST_CASE("no file of somebody else is opened or written as a lock") {
  Bench bench;
  bench.root.File("/etc/secret", "kept");
  bench.root.Directory("/run/nvidia/gpuhost/lock");
  SECTION("by a symbolic link") { bench.root.Link(kPath, bench.root.path() + "/etc/secret"); }
  SECTION("by a second name") {
    REQUIRE(::link(bench.root.Of("/etc/secret").c_str(), bench.root.Of(kPath).c_str()) == 0);
  }
  SECTION("by a link above") {
    bench.root.Remove("/run/nvidia/gpuhost/lock");
    bench.root.File("/etc/" + kName, "kept");
    bench.root.Link("/run/nvidia/gpuhost/lock", bench.root.path() + "/etc");
  }
  SECTION("nor waited for") { REQUIRE(::mkfifo(bench.root.Of(kPath).c_str(), 0600) == 0); }
  CHECK(absl::IsFailedPrecondition(bench.Acquire().status()));
  CHECK(bench.root.Content("/etc/secret") == "kept");
}

TEST_CASE("the descriptors of locks are known by the names in a text") {
  Bench bench;
  const auto first = bench.Acquire(), second = bench.Acquire("0000:02:00.0");
  CHECK(FileLock::NamedIn("/sys/bus/pci/devices/0000:02:00.0/reset").size() == 1);
  CHECK(FileLock::NamedIn("0000:02:00.0 and " + kName).size() == 2);
  CHECK(FileLock::NamedIn("").empty());
  {
    const auto third = bench.Acquire("0000:03:00.0");
    CHECK(FileLock::NamedIn("0000:03:00.0").size() == 1);
  }
  CHECK(FileLock::NamedIn("0000:03:00.0").empty());
}
