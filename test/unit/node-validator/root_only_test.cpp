// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/root_only.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/node-validator/observe/questions.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;
using Catch::Matchers::Contains;

namespace {

// A node's root in which all is as it should be: /usr/bin/containerd, also by links.
struct World {
  fake::TempRoot root;
  HostFs fs{root.path()};

  World() {
    root.File("/usr/bin/containerd", "x");
    Mode("/usr/bin/containerd", 0755);
    Mode("/usr/bin", 0755);
    Mode("/usr", 0755);
    root.Link("/bin", "usr/bin");
    root.Link("/usr/local/containerd", "../bin/./containerd");
    Mode("/usr/local", 0755);
  }
  void Mode(std::string_view path, mode_t mode) {
    REQUIRE(::chmod(root.Of(path).c_str(), mode) == 0);
  }
  void Owner(std::string_view path, uid_t uid) {
    REQUIRE(::chown(root.Of(path).c_str(), uid, 0) == 0);
  }
};

}  // namespace

TEST_CASE("a program counts as root's when nobody else can change it or the way to it") {
  if (::geteuid() != 0) return;
  World world;
  const auto check = [&](const char* path) { return RootOnly(world.fs, path); };
  for (const char* path : {"/usr/bin/containerd", "/bin/containerd", "/usr/local/containerd",
                           "/usr/bin/../bin/containerd", "//usr//bin/containerd"}) {
    CAPTURE(path);
    CHECK(check(path).ok());
  }
  CHECK(absl::IsInvalidArgument(check("usr/bin/containerd")));
  CHECK(absl::IsInvalidArgument(check("")));
  CHECK(absl::IsNotFound(check("/usr/bin/none")));
  CHECK(absl::IsPermissionDenied(check("/usr/bin")));
  world.root.Link("/usr/bin/loop", "loop");
  CHECK(!check("/usr/bin/loop").ok());
}

TEST_CASE("a program, or a directory on its way, that others can write to is not root's alone") {
  if (::geteuid() != 0) return;
  struct Change {
    const char* path;
    mode_t mode;
    uid_t uid;
  };
  const Change changes[] = {{"/usr/bin/containerd", 0775, 0},  // its group
                            {"/usr/bin/containerd", 0757, 0},
                            {"/usr/bin/containerd", 0755, 1000},
                            {"/usr/bin/containerd", 0644, 0},  // no program
                            {"/usr/bin", 0775, 0},
                            {"/usr/bin", 01777, 0},
                            {"/usr/bin", 0755, 1000},
                            {"/usr", 0775, 0},
                            {"/usr", 0755, 65534},
                            {"/", 0777, 0}};
  for (const Change& change : changes) {
    CAPTURE(change.path, change.mode, change.uid);
    World world;
    world.Owner(change.path, change.uid);
    world.Mode(change.path, change.mode);
    CHECK(absl::IsPermissionDenied(RootOnly(world.fs, "/usr/bin/containerd")));
    CHECK(absl::IsPermissionDenied(RootOnly(world.fs, "/bin/containerd")));
  }
  World world;  // a link in a directory of somebody's leads where that one wants
  world.root.Link("/home/user/containerd", "/usr/bin/containerd");
  world.Owner("/home/user", 1000);
  const absl::Status status = RootOnly(world.fs, "/home/user/containerd");
  CHECK(absl::IsPermissionDenied(status));
  CHECK_THAT(Text(status), Contains("/home/user belongs to user 1000"));
}

TEST_CASE("the node is asked through programs that root alone can change, by their names") {
  // In a directory that everybody can write to, as /tmp is.
  fake::TempRoot root;
  HostFs fs;
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  const Tree tree(fs);
  const auto node = AskNode(tree, {fs, clock, registers});
  for (const char* name : {"/containerd", "/kubelet", "/containerd-shim-kata-v2"}) {
    root.File(name, fmt::format("#!/bin/sh\necho ran >> {}\n", root.Of("/marker").string()));
    REQUIRE(::chmod(root.Of(name).c_str(), 0755) == 0);
    const std::string path = root.Of(name).string();
    CHECK(absl::IsPermissionDenied(node->Ask(Question::kVersion, path).status()));
    CHECK(
        absl::IsPermissionDenied(node->Ask(Question::kContainerdDump, path + " /etc/x").status()));
    CHECK(absl::IsPermissionDenied(node->Ask(Question::kQemu, path).status()));
  }
  CHECK(!root.Exists("/marker"));
  // Root's own, and none of those that are asked.
  const auto& shell = node->Ask(Question::kVersion, "/usr/bin/env");
  CHECK(absl::IsPermissionDenied(shell.status()));
  CHECK_THAT(Text(shell.status()), Contains("its name is not"));
  CHECK(absl::IsPermissionDenied(node->Ask(Question::kQemu, "/usr/bin/env").status()));
}
