// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/tree.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/artifacts/unpack.h"
#include "daemons/kata-manager/generation.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"
#include "test/unit/kata-manager/tarball.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using Catch::Matchers::Contains;

namespace {

struct World {
  World() {
    root.Directory("/in/it");
    root.Directory("/outside");
  }
  Tree tree() { return *Tree::Open(kernel, "/in/it"); }
  size_t Outside() { return kernel.List("/outside")->size(); }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
};

}  // namespace

TEST_CASE("nothing is put through a link, whichever way it is put") {
  World world;
  world.root.File("/file", "bytes");
  world.root.File("/in/it/there", "bytes");
  world.root.Link("/in/it/out", GENERATE("../../outside", "sub"));
  world.root.Directory("/in/it/sub");
  const Tree tree = world.tree();
  for (const std::string name : {"out/x", "out/d/x", "../../outside/x", "sub/../../../outside/x"}) {
    CAPTURE(name);
    CHECK_FALSE(tree.Write(name, "x", 0644).ok());
    CHECK_FALSE(tree.MakeDirectories(name).ok());
    CHECK_FALSE(tree.Below(name).ok());
    CHECK_FALSE(tree.Symlink(name, "x").ok());
    CHECK_FALSE(tree.LinkTo(world.kernel, "/file", name).ok());
    CHECK_FALSE(tree.LinkInside("there", name).ok());
  }
  CHECK(absl::IsFailedPrecondition(tree.Write("out/x", "x", 0644)));
  CHECK(world.Outside() == 0);
  CHECK(world.kernel.List("/in/it/sub")->empty());
}

TEST_CASE("what is there is not replaced, also not where a link is") {
  World world;
  world.root.File("/outside/file", "as it was");
  world.root.Link("/in/it/link", "../../outside/file");
  world.root.File("/in/it/file", "as it was");
  const Tree tree = world.tree();
  for (const char* name : {"link", "file"}) {
    CHECK(absl::IsAlreadyExists(tree.Write(name, "other", 0644)));
    CHECK(absl::IsAlreadyExists(tree.Symlink(name, "other")));
  }
  CHECK(world.root.Content("/outside/file") == "as it was");
  CHECK(world.root.Content("/in/it/file") == "as it was");
  CHECK_FALSE(tree.OpenForReading("link").ok());
  CHECK_THAT(Text(tree.CheckLinks()), Contains("link: it leads outside"));
}

TEST_CASE("a tree may itself lie behind a link, and be cleared") {
  World world;
  world.root.Link("/var", "in");
  const Tree tree = *Tree::Open(world.kernel, "/var/it");
  REQUIRE(tree.Write("a/b/c", "x", 0600).ok());
  REQUIRE(tree.Symlink("a/up", "../none").ok());
  REQUIRE(tree.Symlink("a/circle", "circle").ok());
  CHECK(world.root.Content("/in/it/a/b/c") == "x");
  CHECK(tree.CheckLinks().ok());  // one leads nowhere, and one to itself
  REQUIRE(tree.Clear().ok());
  CHECK(world.kernel.List("/in/it")->empty());
}

TEST_CASE("a link that leads outside by way of another link") {
  World world;
  // As it is written, `out` leads to a/b/x.
  const std::vector<test::TarEntry> entries = {{"a/b/", "", AE_IFDIR, 0755},
                                               {"a/b/up", "", AE_IFLNK, 0777, "../.."},
                                               {"out", "", AE_IFLNK, 0777, "a/b/up/../../outside"}};
  test::WriteTar(world.root.Of("/a.tar").string(), entries);
  const auto unpacked = artifacts::Unpack(world.kernel, "/a.tar", world.tree(), "dir");
  CHECK(absl::IsDataLoss(unpacked.status()));
  CHECK_THAT(Text(unpacked.status()), Contains("leads outside"));
}

TEST_CASE("no part of a generation is put through what another one has brought") {
  World world;
  Recipe recipe;
  recipe.identity = "a";
  recipe.parts["configuration.toml"] = [](const Tree& tree, const std::string& name) {
    return tree.Write(name, "", 0644);
  };
  recipe.parts["dir"] = [](const Tree& tree, const std::string& name) {
    return tree.Symlink(name + "/sub", "../../../../../outside");
  };
  recipe.parts["dir/sub/file"] = [](const Tree& tree, const std::string& name) {
    return tree.Write(name, "x", 0644);
  };
  const auto made = Establish(world.kernel, "/in/classes/kata-x", recipe);
  CHECK(absl::IsFailedPrecondition(made.status()));
  recipe.parts.erase("dir/sub/file");
  CHECK_THAT(Text(Establish(world.kernel, "/in/classes/kata-x", recipe).status()),
             Contains("leads outside"));
  CHECK(world.Outside() == 0);
  CHECK(world.kernel.List("/in/classes/kata-x")->empty());
}
