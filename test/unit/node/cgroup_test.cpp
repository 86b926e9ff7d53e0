// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/node/cgroup.h"

#include <catch2/catch.hpp>
#include <string>

using gpuhost::node::UnitIn;

TEST_CASE("a process's service is that of its cgroup, in each version of cgroups") {
  struct Case {
    const char *process, *init, *unit;
  };
  const Case cases[] = {
      // v2; Amazon Linux 2023 has the kubelet and containerd in a slice of their own.
      {"0::/system.slice/containerd.service\n", "0::/init.scope\n", "containerd.service"},
      {"0::/runtime.slice/containerd.service\n", "0::/init.scope\n", "containerd.service"},
      {"0::/a.slice/a-b.slice/x.service/child/y\n", "0::/init.scope\n", "x.service"},
      // v1, hybrid, and the kernel's empty line of v2 beside v1.
      {"4:memory:/system.slice\n1:name=systemd:/system.slice/k3s.service\n0::/\n",
       "4:memory:/\n1:name=systemd:/init.scope\n0::/\n", "k3s.service"},
      {"1:name=systemd:/system.slice/k3s.service\n0::/system.slice/k3s.service\n",
       "1:name=systemd:/init.scope\n0::/init.scope\n", "k3s.service"},
      // Seen from a container with a cgroup namespace of its own.
      {"0::/../../../system.slice/containerd.service\n", "0::/../../../init.scope\n",
       "containerd.service"},
      // systemd inside a container, seen from outside.
      {"0::/docker/1234/system.slice/kubelet.service\n", "0::/docker/1234/init.scope\n",
       "kubelet.service"},
      // Process 1 that is no systemd.
      {"0::/system.slice/crio.service\n", "0::/\n", "crio.service"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.process);
    CHECK(UnitIn(one.process, one.init) == one.unit);
  }
}

TEST_CASE("a cgroup that a user or a container has made is no service of the node") {
  const char* cgroups[] = {
      "0::/user.slice/user-1000.slice/session-1.scope/containerd.service\n",
      "0::/kubepods.slice/cri-containerd-2.scope/system.slice/containerd.service\n",
      "0::/kubepods/pod1/2/system.slice/containerd.service\n",
      "0::/\n",
      "0::/init.scope\n",
      "4:memory:/system.slice/containerd.service\n",
      "0::system.slice/containerd.service\n",
      "",
      "no lines of a cgroup",
  };
  for (const char* cgroup : cgroups) {
    CAPTURE(cgroup);
    CHECK(UnitIn(cgroup, "0::/init.scope\n") == "");
  }
  // The user's own service manager is a service itself.
  CHECK(UnitIn("0::/user.slice/user-1000.slice/user@1000.service/system.slice/containerd.service\n",
               "0::/init.scope\n") == "user@1000.service");
  // Beside us in a cgroup namespace, not at the root.
  CHECK(UnitIn("0::/../system.slice/containerd.service\n", "0::/../../../init.scope\n") == "");
  CHECK(UnitIn("0::/system.slice/containerd.service\n", "") == "");
  // In hybrid mode the hierarchy of systemd's own counts.
  CHECK(UnitIn("1:name=systemd:/user.slice\n0::/system.slice/containerd.service\n",
               "1:name=systemd:/init.scope\n0::/init.scope\n") == "");
}
