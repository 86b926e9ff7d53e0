// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/instance.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

// Another process that claims the lock and holds it until it is killed.
class Other {
 public:
  explicit Other(HostFs& fs) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto instance = service::Instance::Claim(fs, "cc-manager");
      const char done = instance.ok() ? 'y' : 'n';
      if (::write(ends[1], &done, 1) == 1) ::pause();
      ::_exit(0);
    }
    char done = 0;
    REQUIRE(::read(ends[0], &done, 1) == 1);
    CHECK(done == 'y');
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Other() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("one instance of a daemon per node, and its death is seen") {
  fake::TempRoot root;
  HostFs fs(root.path());
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  Other other(fs);
  CHECK(service::IsAlive(fs, "cc-manager"));
  CHECK_FALSE(service::IsAlive(fs, "vfio-manager"));
  const auto refused = service::Instance::Claim(fs, "cc-manager");
  CHECK(absl::IsFailedPrecondition(refused.status()));
  CHECK(Text(refused.status()).find("another cc-manager runs") != std::string::npos);
  other.Kill();
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  CHECK(service::Instance::Claim(fs, "cc-manager").ok());
}
