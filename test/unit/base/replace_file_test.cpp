// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/replace_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

using Strings = std::vector<std::string>;

// A drop-in directory of a program that reads every file in it.
struct Bench {
  Bench() { root.Directory("/etc/crio/crio.conf.d"); }
  absl::Status Write(const std::string& text) {
    return fs.WriteFileAtomic("/etc/crio/crio.conf.d/99.conf", text, 0644);
  }
  Strings List(const std::string& directory) { return *fs.List(directory); }
  fake::TempRoot root;
  HostFs fs{root.path()};
};

}  // namespace

TEST_CASE("no name but the right one appears in the directory, CRI-O 1.37 would read it") {
  Bench bench;
  REQUIRE(bench.Write("old").ok());
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  REQUIRE(::inotify_add_watch(watch.get(), bench.root.Of("/etc/crio/crio.conf.d").c_str(),
                              IN_CREATE | IN_MOVED_TO | IN_DELETE) >= 0);
  REQUIRE(bench.Write("new").ok());
  alignas(inotify_event) char events[4096];
  const ssize_t size = ::read(watch.get(), events, sizeof events);
  Strings names;
  for (ssize_t at = 0; at < size;) {
    const auto* event = reinterpret_cast<const inotify_event*>(events + at);
    names.emplace_back(event->name);
    at += static_cast<ssize_t>(sizeof *event + event->len);
  }
  CHECK(names == Strings{"99.conf"});
  CHECK(bench.List("/etc/crio") == Strings{"crio.conf.d"});
}

TEST_CASE("a writer that dies over its file leaves the directory as it was") {
  Bench bench;
  REQUIRE(bench.Write("old").ok());
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit none{.rlim_cur = 1, .rlim_max = 1};
    ::setrlimit(RLIMIT_CORE, &none);
    ::setrlimit(RLIMIT_FSIZE, &none);
    ::signal(SIGXFSZ, SIG_DFL);
    bench.Write("half of it").IgnoreError();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ));
  CHECK(bench.List("/etc/crio/crio.conf.d") == Strings{"99.conf"});
  CHECK(bench.root.Content("/etc/crio/crio.conf.d/99.conf") == "old");
}

TEST_CASE("what a killed writer has left goes with the next write and with removal") {
  Bench bench;
  const auto leave = [&] {
    bench.root.File("/etc/crio/.gpuhost-99.conf.abc123", "x");
    bench.root.File("/etc/crio/crio.conf.d/99.conf.tmp.aBc123", "x");  // of earlier versions, too
    bench.root.File("/etc/crio/crio.conf.d/99.conf.tmp.mine", "somebody's");
  };
  leave();
  SECTION("write") {
    REQUIRE(bench.Write("new").ok());
    CHECK(bench.List("/etc/crio/crio.conf.d") == Strings{"99.conf", "99.conf.tmp.mine"});
  }
  SECTION("remove") {
    REQUIRE(bench.fs.Remove("/etc/crio/crio.conf.d/99.conf").ok());
    CHECK(bench.List("/etc/crio/crio.conf.d") == Strings{"99.conf.tmp.mine"});
  }
  CHECK(bench.List("/etc/crio") == Strings{"crio.conf.d"});
}

TEST_CASE("what somebody still writes is left alone") {
  Bench bench;
  bench.root.File("/etc/crio/.gpuhost-99.conf.abc123", "x");
  const UniqueFd writer(
      ::open(bench.root.Of("/etc/crio/.gpuhost-99.conf.abc123").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::flock(writer.get(), LOCK_EX) == 0);
  REQUIRE(bench.Write("new").ok());
  CHECK(bench.List("/etc/crio").size() == 2);
}

TEST_CASE("a directory below which nothing else may be written gets its files all the same") {
  if (::geteuid() == 0) {
    WARN("not run: root may write everywhere");
    return;
  }
  Bench bench;
  REQUIRE(::chmod(bench.root.Of("/etc/crio").c_str(), 0500) == 0);
  CHECK(bench.Write("new").ok());
  CHECK(bench.List("/etc/crio/crio.conf.d") == Strings{"99.conf"});
  ::chmod(bench.root.Of("/etc/crio").c_str(), 0700);
}
