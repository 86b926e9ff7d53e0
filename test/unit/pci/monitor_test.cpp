// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/monitor.h"

#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/unique_fd.h"

using namespace gpuhost;

namespace {

enum Outcome { kHeard, kDeaf, kNotRun };

// In a network namespace of its own, where uevents can be sent to nobody else.
Outcome LoseUevents() {
  if (::unshare(CLONE_NEWNET) != 0) return kNotRun;
  auto monitor = pci::Monitor::Open();
  if (!monitor.ok()) return kNotRun;
  const int small = 1;  // the kernel's least
  ::setsockopt(monitor->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof small);
  const UniqueFd sender(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl kernel_group{};
  kernel_group.nl_family = AF_NETLINK;
  kernel_group.nl_groups = 1;
  constexpr char kEvent[] = "add@/devices/x\0ACTION=add\0SUBSYSTEM=pci\0";
  for (int i = 0; i < 1000; ++i) {
    ::sendto(sender.get(), kEvent, sizeof kEvent, 0,
             reinterpret_cast<const sockaddr*>(&kernel_group), sizeof kernel_group);
  }
  // None of them is the kernel's, so that the loss alone is news.
  return monitor->Drain() ? kHeard : kDeaf;
}

}  // namespace

TEST_CASE("uevents that were lost are a change") {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(LoseUevents());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotRun) {
    WARN("not run: it takes root to make a network namespace");
    return;
  }
  CHECK(WEXITSTATUS(status) == kHeard);
}
