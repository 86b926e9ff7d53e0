// SPDX-License-Identifier: Apache-2.0
//
// Artefacts with archives in them, and what becomes of blobs and recipes.
#include <catch2/catch.hpp>

#include "daemons/kata-manager/garbage.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/fetch_world.h"
#include "test/unit/kata-manager/tarball.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using namespace gpuhost::kata_manager::artifacts::test;
using Catch::Matchers::Contains;

TEST_CASE("an archive becomes a directory whose files the configuration may name") {
  World world;
  const std::string tar = world.root.Of("/dir.tar.gz").string();
  gpuhost::test::WriteTar(tar, {{"guest/", "", AE_IFDIR, 0755},
                                {"guest/boot/vmlinuz-6.1", "kernel"},
                                {"guest/boot/vmlinuz", "", AE_IFLNK, 0777, "vmlinuz-6.1"},
                                {"guest/kata.image", "image"}});
  world.digest = world.server.AddArtifact(
      {{"configuration.toml", kToml}, {"guest", *HostFs().Read(tar), true}});
  const auto recipe = world.Fetch();
  INFO(Text(recipe.status()));
  REQUIRE(recipe.ok());
  const std::string directory = ClassDirectory(kArtifacts, "kata-x");
  const auto made = Establish(world.kernel, directory, *recipe);
  INFO(Text(made.status()));
  REQUIRE(made.ok());
  CHECK(world.root.Content(directory + "/current/guest/kata.image") == "image");
  CHECK_THAT(world.root.Content(directory + "/current/config.d/50-gpuhost.toml"),
             Contains("kernel = \"" + directory + "/gen-1/guest/boot/vmlinuz\"") &&
                 Contains("image = \"" + directory + "/gen-1/guest/kata.image\""));
}

TEST_CASE("an archive that cannot be used is neither fetched nor unpacked again and again") {
  World world;
  const std::string tar = world.root.Of("/dir.tar.gz").string();
  gpuhost::test::WriteTar(tar, {{"l", "", AE_IFLNK, 0777, "../../x"}});
  world.digest = world.server.AddArtifact(
      {{"configuration.toml", "[hypervisor.qemu]\n"}, {"dir", *HostFs().Read(tar), true}});
  const std::string directory = ClassDirectory(kArtifacts, "kata-x");
  CHECK(absl::IsDataLoss(Establish(world.kernel, directory, *world.Fetch()).status()));
  world.clock.SleepFor(std::chrono::hours(100));
  const size_t asked = world.server.Requests().size();
  CHECK_THAT(Text(world.Status()),
             Contains("links to what is outside; nothing of it is used; it is "
                      "tried again when the artefact or the configuration"));
  CHECK(world.server.Requests().size() == asked);
  world.config.largest_artifact /= 2;
  CHECK(world.Fetch().ok());
}

TEST_CASE("an archive leaves a tenth of the disk free, and may not become larger than is allowed") {
  World world;
  const std::string tar = world.root.Of("/dir.tar.gz").string();
  gpuhost::test::WriteTar(tar, {{"zeros", std::string(3 << 20, '\0')}});
  world.digest = world.server.AddArtifact(
      {{"configuration.toml", "[hypervisor.qemu]\n"}, {"dir", *HostFs().Read(tar), true}});
  const std::string directory = ClassDirectory(kArtifacts, "kata-x");
  const auto recipe = world.Fetch();
  REQUIRE(recipe.ok());
  world.space = {99, 1'000};
  CHECK(absl::IsResourceExhausted(Establish(world.kernel, directory, *recipe).status()));
  CHECK(absl::IsResourceExhausted(world.Status()));
  world.space = {1'000, 1'000};
  CHECK(absl::IsResourceExhausted(world.Status()));  // not at once
  world.clock.SleepFor(std::chrono::minutes(6));
  CHECK(world.Fetch().ok());
  world.config.largest_artifact = 2 << 20;
  const auto small = Establish(world.kernel, directory, *world.Fetch());
  CHECK_THAT(Text(small.status()), Contains("too large at 'zeros'"));
  CHECK(world.kernel.List(directory)->empty());
  world.config.largest_artifact = 1 << 10;
  CHECK_THAT(Text(world.Status()), Contains("registry.largestArtifact"));
}

TEST_CASE("without the network there is what is here") {
  World world;
  world.root.File("/ca.pem", world.server.ca_pem());
  world.config.registry_ca = "/ca.pem";
  const RuntimeClass entry = world.Class("@" + world.digest);
  const auto local = [&] {
    return world.fetcher->FetchLocal(entry, world.config, kArtifacts).status();
  };
  CHECK(absl::IsUnavailable(local()));
  CHECK(world.server.Requests().empty());
  REQUIRE(world.Fetch(entry).ok());
  CHECK(local().ok());
}

TEST_CASE("while a recipe lives nobody removes its blobs") {
  World world;
  auto recipe = world.Fetch();
  REQUIRE(recipe.ok());
  CHECK(absl::IsUnavailable(CollectGarbage(world.kernel, kArtifacts, {}).status()));
  recipe = absl::NotFoundError("");
  CHECK(CollectGarbage(world.kernel, kArtifacts, {}).ok());
  CHECK(world.kernel.List("/art/cas/sha256")->empty());
}
