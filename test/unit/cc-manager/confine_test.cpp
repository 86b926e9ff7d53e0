// SPDX-License-Identifier: Apache-2.0
//
// Each side in a child of its own, for what is given up does not come back.
#include "daemons/cc-manager/confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "libgpuhost/base/parse.h"
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

bool CanWrite(const HostFs& fs, std::string_view path) { return fs.Open(path, O_RDWR).ok(); }

// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN
constexpr uint64_t kHardware = 1u << 2 | 1u << 19 | 1u << 21;

// Effective and permitted ones.
uint64_t Capabilities() {
  const std::string status = HostFs().Read("/proc/thread-self/status").value_or("");
  uint64_t all = 0;
  for (const char* name : {"\nCapPrm:\t", "\nCapEff:\t"}) {
    all |= ParseHex(status.substr(status.find(name) + 9, 16)).value_or(UINT64_MAX);
  }
  return all;
}

struct Tree {
  Tree() {
    root.Directory("/run/nvidia/gpuhost");
    for (const char* path :
         {"/sys/devices/pci0000:00/reset", "/sys/bus/pci/rescan", "/dev/vfio/1", "/etc/passwd",
          "/run/other", "/ready/other", "/run/nvidia/gpuhost-flight/00000001.json"}) {
      root.File(path, "x");
    }
  }
  fake::TempRoot root;
  HostFs fs{root.path()};
};

}  // namespace

TEST_CASE("the API side keeps no capability and gets none back") {
  Tree tree;
  CHECK(InChild([&] {
    return cc_manager::ConfineApiSide(tree.fs, "").ok() && Capabilities() == 0 &&
           ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  }));
}

TEST_CASE("the API side writes its own directories and nothing else") {
  if (!KernelHasLandlock()) {
    WARN("not tested: this kernel has no Landlock");
    return;
  }
  Tree tree;
  CHECK(InChild([&] {
    HostFs& fs = tree.fs;
    bool good = cc_manager::ConfineApiSide(fs, "/ready").ok();
    good = good && fs.WriteFileAtomic("/run/nvidia/gpuhost/status.json", "{}", 0644).ok();
    good = good && fs.WriteFileAtomic("/run/nvidia/gpuhost/status.json", "{ }", 0644).ok();
    good =
        good && fs.WriteFileAtomic("/ready/file", "", 0644).ok() && fs.Remove("/ready/file").ok();
    good = good && HostFs().Open("/dev/null", O_RDWR).ok();
    for (const char* path :
         {"/sys/devices/pci0000:00/reset", "/sys/bus/pci/rescan", "/dev/vfio/1", "/etc/passwd",
          "/run/other", "/run/nvidia/gpuhost-flight/00000001.json"}) {
      good = good && !CanWrite(fs, path) && fs.Read(path).ok();
    }
    return good && !fs.WriteFileAtomic("/run/new", "", 0644).ok();
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
