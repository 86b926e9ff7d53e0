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

bool HasCapabilities() {
  const std::string status = HostFs().Read("/proc/thread-self/status").value_or("");
  return status.find("\nCapEff:\t0000000000000000\n") == std::string::npos ||
         status.find("\nCapPrm:\t0000000000000000\n") == std::string::npos;
}

struct Tree {
  Tree() {
    root.Directory("/run/nvidia/gpuhost");
    for (const char* path : {"/sys/devices/pci0000:00/reset", "/sys/bus/pci/rescan", "/dev/vfio/1",
                             "/etc/passwd", "/run/other", "/ready/other"}) {
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
    return cc_manager::ConfineApiSide(tree.fs, "").ok() && !HasCapabilities() &&
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
    for (const char* path : {"/sys/devices/pci0000:00/reset", "/sys/bus/pci/rescan", "/dev/vfio/1",
                             "/etc/passwd", "/run/other"}) {
      good = good && !CanWrite(fs, path) && fs.Read(path).ok();
    }
    return good && !fs.WriteFileAtomic("/run/new", "", 0644).ok();
  }));
}

TEST_CASE("the hardware side writes sysfs and its own directory and nothing else") {
  if (!KernelHasLandlock()) {
    WARN("not tested: this kernel has no Landlock");
    return;
  }
  Tree tree;
  CHECK(InChild([&] {
    HostFs& fs = tree.fs;
    bool good = cc_manager::ConfineHardwareSide(fs).ok();
    good = good && CanWrite(fs, "/sys/devices/pci0000:00/reset") &&
           CanWrite(fs, "/sys/bus/pci/rescan");
    good = good && fs.WriteFileAtomic("/run/nvidia/gpuhost/lock", "", 0600).ok();
    for (const char* path : {"/dev/vfio/1", "/etc/passwd", "/run/other", "/ready/other"}) {
      good = good && !CanWrite(fs, path) && fs.Read(path).ok();
    }
    return good;
  }));
}
