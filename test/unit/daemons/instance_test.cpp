// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/instance.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/other_process.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

// A process that has a lock for reading on the file, until this is gone.
class Reader {
 public:
  explicit Reader(const std::string& path) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      struct flock whole {};
      whole.l_type = F_RDLCK;
      const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (::fcntl(fd, F_SETLK, &whole) == 0 && ::write(ends[1], "y", 1) == 1) ::pause();
      ::_exit(1);
    }
    char ready = 0;
    ::close(ends[1]);
    REQUIRE(::read(ends[0], &ready, 1) == 1);
    ::close(ends[0]);
  }
  ~Reader() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("one instance of a daemon per node, and its death is seen") {
  fake::TempRoot root;
  HostFs fs(root.path());
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  fake::OtherProcess other(fs, "cc-manager");
  CHECK(service::IsAlive(fs, "cc-manager"));
  CHECK_FALSE(service::IsAlive(fs, "vfio-manager"));
  const auto refused = service::Instance::Claim(fs, "cc-manager");
  CHECK(absl::IsFailedPrecondition(refused.status()));
  CHECK(Text(refused.status()).find("another cc-manager runs") != std::string::npos);
  other.Kill();
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  CHECK(service::Instance::Claim(fs, "cc-manager").ok());
}

TEST_CASE("whoever may only read a daemon's lock neither keeps it from starting nor alive") {
  fake::TempRoot root;
  HostFs fs(root.path());
  const std::string path = root.Of("/run/nvidia/gpuhost/cc-manager.lock").string();
  const auto mode = [&] {
    struct stat info {};
    ::stat(path.c_str(), &info);
    return info.st_mode & 07777;
  };
  SECTION("with the file of an earlier version") {
    root.File("/run/nvidia/gpuhost/cc-manager.lock", "");
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
  }
  SECTION("with one that was open before") { fake::OtherProcess(fs, "cc-manager").Kill(); }
  Reader reader(path);
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  CHECK(service::Instance::Claim(fs, "cc-manager").ok());
  CHECK(mode() == 0600);
  fake::OtherProcess other(fs, "cc-manager");
  CHECK(service::IsAlive(fs, "cc-manager"));
  CHECK(absl::IsFailedPrecondition(service::Instance::Claim(fs, "cc-manager").status()));
}

TEST_CASE("a link in the place of a lock is not followed") {
  fake::TempRoot root;
  HostFs fs(root.path());
  root.File("/etc/secret", "kept");
  root.Directory("/run/nvidia/gpuhost");
  root.Link("/run/nvidia/gpuhost/cc-manager.lock", root.path() + "/etc/secret");
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  const auto instance = service::Instance::Claim(fs, "cc-manager");
  CHECK(instance.ok());
  CHECK(root.Content("/etc/secret") == "kept");
}
