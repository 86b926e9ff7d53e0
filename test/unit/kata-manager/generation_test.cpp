// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/generation.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/kata_config.h"
#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/mortal.h"
#include "test/fake/node_process.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

constexpr const char* kArtifacts = "/art";
const std::string kClass = ClassDirectory(kArtifacts, "kata-x");

Recipe Simple(const std::string& identity) {
  Recipe recipe;
  recipe.identity = identity;
  recipe.blobs = {"blob-" + identity};
  for (const char* name : {"configuration.toml", "vmlinuz"}) {
    recipe.parts[name] = [identity](const Tree& tree, const std::string& part) {
      return tree.Write(part, identity, 0644);
    };
  }
  recipe.texts["config.d/50-gpuhost.toml"] = [](const std::string& directory,
                                                const std::vector<std::string>&) {
    return "# " + directory + "\n";
  };
  return recipe;
}

struct Node {
  fake::TempRoot root;
  fake::FakeKernel kernel{root};

  void Make(const std::string& identity) {
    REQUIRE(Establish(kernel, kClass, Simple(identity)).ok());
  }
  std::vector<int> Numbers() {
    std::vector<int> numbers;
    for (const Generation& generation : Generations(kernel, kClass)) {
      numbers.push_back(generation.number);
    }
    return numbers;
  }
  std::string Now() { return root.Content(ConfigPath(kArtifacts, "kata-x")); }
};

}  // namespace

TEST_CASE("a generation is made once, and current moves to it") {
  Node node;
  CHECK(*Establish(node.kernel, kClass, Simple("a")));
  CHECK_FALSE(*Establish(node.kernel, kClass, Simple("a")));
  CHECK(*Establish(node.kernel, kClass, Simple("b")));
  CHECK(node.Now() == "b");
  CHECK(node.root.Content(kClass + "/gen-2/config.d/50-gpuhost.toml") ==
        "# " + kClass + "/gen-2\n");
  CHECK(*Establish(node.kernel, kClass, Simple("a")));  // there still
  CHECK(node.Now() == "a");
  CHECK(node.Numbers() == std::vector{1, 2});
}

TEST_CASE("back to the one before") {
  Node node;
  node.Make("a");
  CHECK(absl::IsNotFound(StepBack(node.kernel, kClass).status()));
  node.Make("b");
  CHECK(*StepBack(node.kernel, kClass) == "b");
  CHECK(node.Now() == "a");
}

TEST_CASE("killed at any write, current is whole, and the next process goes on") {
  bool finished = false;
  int points = 0;
  for (; !finished; ++points) {
    REQUIRE(points < 100);
    Node node;
    node.Make("a");
    {
      fake::Life life(points);
      node.kernel.FailWritesWhile([&](const std::string&) { return life.Ended(); });
      Establish(node.kernel, kClass, Simple("b")).IgnoreError();
      finished = !life.WasEnded();
      node.kernel.FailWritesWhile({});
    }
    const auto current = Current(node.kernel, kClass);
    REQUIRE(current);
    CHECK(VerifyGeneration(node.kernel, *current).ok());
    node.Make("b");
    CHECK(node.Now() == "b");
    CHECK(VerifyGeneration(node.kernel, *Current(node.kernel, kClass)).ok());
  }
  CHECK(points >= 5);
}

TEST_CASE("a recipe without configuration leaves nothing") {
  Node node;
  Recipe recipe = Simple("a");
  recipe.parts.erase("configuration.toml");
  CHECK(absl::IsDataLoss(Establish(node.kernel, kClass, recipe).status()));
  CHECK(node.kernel.List(kClass)->empty());
}

TEST_CASE("a file that has changed on the disk is named") {
  Node node;
  node.Make("a");
  node.root.File(kClass + "/gen-1/vmlinuz", "other");
  CHECK_THAT(Text(VerifyGeneration(node.kernel, *Current(node.kernel, kClass))),
             Catch::Contains("gen-1/vmlinuz has SHA-256"));
}

TEST_CASE("what is not needed goes; the current, the one before, and what guests use stay") {
  Node node;
  for (const char* identity : {"a", "b", "c", "d"}) node.Make(identity);
  for (const char* blob : {"blob-a", "blob-b", "blob-c", "blob-d", "blob-e"}) {
    node.root.File(std::string("/art/cas/sha256/") + blob, "");
  }
  fake::AddProcess(node.root, {.pid = 77, .exe = "/usr/bin/qemu"});
  node.root.Link("/proc/77/fd/5", node.root.path() + kClass + "/gen-1/vmlinuz");
  REQUIRE(CollectGarbage(node.kernel, kArtifacts, {"kata-x"}).ok());
  CHECK(node.Numbers() == std::vector{1, 3, 4});
  CHECK(*node.kernel.List("/art/cas/sha256") ==
        std::vector<std::string>{"blob-a", "blob-c", "blob-d"});
  CHECK(absl::IsFailedPrecondition(RemoveAll(node.kernel, kArtifacts)));
  CHECK(node.Now() == "d");
  node.root.Remove("/proc/77");
  REQUIRE(CollectGarbage(node.kernel, kArtifacts, {}).ok());
  CHECK_FALSE(node.root.Exists(kClass));
  CHECK(node.kernel.List("/art/cas/sha256")->empty());
}

TEST_CASE("sandboxes are told apart by what containerd wrote down") {
  Node node;
  const auto shim = [&](int pid, const std::string& id, const std::string& bundle) {
    const std::string program = "/opt/kata/bin/containerd-shim-kata-v2";
    fake::AddProcess(
        node.root,
        {.pid = pid, .exe = program, .arguments = {program, "-namespace", "k8s.io", "-id", id}});
    if (!bundle.empty()) {
      node.root.File(
          "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/config.json",
          "{\"annotations\":{\"io.containerd.cri.runtime-handler\":\"" + bundle + "\"}}");
    }
  };
  shim(10, "one", "kata-x");
  shim(11, "two", "kata-other");
  shim(12, "three", "");
  fake::AddProcess(node.root, {.pid = 13, .exe = "/usr/bin/bash", .arguments = {"bash"}});
  CHECK(SandboxesOf(node.kernel, {"kata-x"}) == std::vector<std::string>{"one", "three"});
  CHECK(SandboxesOf(node.kernel, {}).empty());
}

TEST_CASE("changes to Kata's configuration stand beside the vendor's file") {
  const std::string vendor =
      "[hypervisor.qemu]\nkernel = \"/opt/kata/share/vmlinuz-gpu\"\nimage = \"/opt/x.img\"\n"
      "initrd = \"\"\npath = \"/opt/kata/bin/qemu\"\n";
  CHECK(*RenderOverride(vendor, {{"agent.kata", {{"dial_timeout", "1200"}}}},
                        {"vmlinuz-gpu", "x.img"}, "/g") ==
        "# Written by gpuhost's kata-manager; the file beside config.d is the vendor's.\n"
        "[agent.kata]\ndial_timeout = 1200\n"
        "[hypervisor.qemu]\nimage = \"/g/x.img\"\nkernel = \"/g/vmlinuz-gpu\"\n");
  CHECK_THAT(Text(RenderOverride(vendor, {}, {"vmlinuz-gpu"}, "/g").status()),
             Catch::Contains("names x.img as hypervisor.qemu.image"));
  Node node;
  node.root.File("/opt/kata/runtimes/q/configuration-q.toml", vendor);
  node.root.File("/opt/kata/runtimes/q/config.d/20-debug.toml", "# theirs\n");
  node.root.Link("/opt/kata/configuration-q.toml", "runtimes/q/configuration-q.toml");
  RuntimeClass entry{.name = "kata-x", .config_path = "/opt/kata/configuration-q.toml"};
  entry.kata["hypervisor.qemu"]["default_memory"] = "4096";
  const auto recipe = RecipeFromInstalled(node.kernel, entry);
  REQUIRE(recipe.ok());
  REQUIRE(Establish(node.kernel, kClass, *recipe).ok());
  CHECK(node.Now() == vendor);
  CHECK(node.root.Content(kClass + "/current/config.d/20-debug.toml") == "# theirs\n");
  CHECK_THAT(node.root.Content(kClass + "/current/config.d/50-gpuhost.toml"),
             Catch::Contains("default_memory = 4096"));
  node.root.File("/opt/kata/runtimes/q/config.d/20-debug.toml", "# newer\n");
  CHECK(RecipeFromInstalled(node.kernel, entry)->identity != recipe->identity);
}
