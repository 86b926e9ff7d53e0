// SPDX-License-Identifier: Apache-2.0
//
// Blobs and generations as several processes work on them, and what is on the disk when a name says
// that it is.
#include "daemons/kata-manager/artifacts/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/generation.h"
#include "daemons/kata-manager/state.h"
#include "daemons/kata-manager/store_lock.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/node_process.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> synced;  // paths at the time of fsync, and of directories by syncfs

void Note(int fd) {
  std::error_code ignored;
  synced.push_back(
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string());
}

}  // namespace

// These stand before those of the C library.
extern "C" int fsync(int fd) {
  Note(fd);
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
extern "C" int syncfs(int fd) noexcept {
  Note(fd);
  return static_cast<int>(::syscall(SYS_syncfs, fd));
}

namespace {

bool WasSynced(const std::string& part) {
  return std::ranges::any_of(
      synced, [&](const std::string& path) { return path.find(part) != std::string::npos; });
}

struct World {
  const std::string bytes = std::string(100'000, 'b');
  const std::string hex = Sha256Of(bytes);
  const std::string digest = "sha256:" + hex;
  const std::string part = "/art/cas/partial/" + hex, blob = "/art/cas/sha256/" + hex;

  void Age(const std::string& path, int64_t seconds) {
    const timespec then{std::time(nullptr) - seconds, 0};
    const timespec times[] = {then, then};
    REQUIRE(::utimensat(AT_FDCWD, root.Of(path).c_str(), times, 0) == 0);
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  Store store{kernel, "/art/cas"};
};

Recipe Simple(const std::string& identity) {
  Recipe recipe;
  recipe.identity = identity;
  recipe.parts["configuration.toml"] = [identity](const Tree& tree, const std::string& name) {
    return tree.Write(name, identity, 0644);
  };
  return recipe;
}

constexpr const char* kClass = "/art/classes/kata-x";

}  // namespace

TEST_CASE("a blob is on the disk before it gets its name") {
  World world;
  synced.clear();
  auto partial = world.store.Begin(world.digest, world.bytes.size());
  REQUIRE(partial->Append(world.bytes).ok());
  REQUIRE(world.store.Finish(world.digest, *std::move(partial)).ok());
  CHECK(WasSynced("/art/cas/partial/" + world.hex));  // as it was called then
  CHECK(WasSynced("/art/cas/sha256"));                // the directory with the name
}

TEST_CASE("a generation is on the disk before its record says that it is complete") {
  World world;
  synced.clear();
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  const auto whole = std::ranges::find_if(
      synced, [](const std::string& path) { return path.ends_with("gen-1.partial"); });
  const auto record = std::ranges::find_if(synced, [](const std::string& path) {
    return path.find("gen-1.partial/") != std::string::npos;
  });
  REQUIRE(whole != synced.end());
  CHECK(whole < record);
}

TEST_CASE("what lies there is what counts, not what came") {
  World world;
  auto partial = world.store.Begin(world.digest, world.bytes.size());
  REQUIRE(partial->Append(world.bytes).ok());
  std::fstream other(world.root.Of(world.part), std::ios::in | std::ios::out);
  other << "other";
  other.close();
  const absl::Status status = world.store.Finish(world.digest, *std::move(partial));
  CHECK(absl::IsDataLoss(status));
  CHECK_FALSE(world.root.Exists(world.blob));
  CHECK_FALSE(world.root.Exists(world.part));
}

TEST_CASE("nobody writes to the part of another one") {
  World world;
  auto partial = world.store.Begin(world.digest, world.bytes.size());
  REQUIRE(partial->Append(world.bytes.substr(0, 50'000)).ok());
  int asked = 0;
  Store other(world.kernel, "/art/cas", SpaceOf, [&] { return ++asked == 2; });
  CHECK(absl::IsCancelled(other.Begin(world.digest, world.bytes.size()).status()));
  REQUIRE(partial->Append(world.bytes.substr(50'000)).ok());
  // The other one waits until the first has done, and finds the blob.
  Store later(world.kernel, "/art/cas", SpaceOf, [&] {
    if (!partial.ok()) return false;
    REQUIRE(world.store.Finish(world.digest, *std::move(partial)).ok());
    partial = absl::NotFoundError("");
    return false;
  });
  const auto next = later.Begin(world.digest, world.bytes.size());
  REQUIRE(next.ok());
  CHECK(next->size() == 0);
  CHECK(*later.Has(world.digest));
}

TEST_CASE("the reading of large files ends when the process is to end") {
  World world;
  world.root.File(world.blob, world.bytes);
  Store store(world.kernel, "/art/cas", SpaceOf, [] { return true; });
  CHECK(absl::IsCancelled(store.Has(world.digest).status()));
  CHECK(world.root.Exists(world.blob));
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  CHECK(absl::IsCancelled(Establish(world.kernel, kClass, Simple("a"), /*distrust=*/true, [] {
                            return true;
                          }).status()));
  CHECK(absl::IsCancelled(
      VerifyGeneration(world.kernel, *Current(world.kernel, kClass), [] { return true; })));
}

TEST_CASE("what the manifest has promised is recorded and verified, not what was found") {
  World world;
  world.root.File("/blob", "damaged");
  Recipe recipe = Simple("a");
  recipe.promised["image"] = world.hex;
  recipe.parts["image"] = [&](const Tree& tree, const std::string& name) {
    return tree.LinkTo(world.kernel, "/blob", name);
  };
  REQUIRE(Establish(world.kernel, kClass, recipe).ok());
  CHECK(absl::IsDataLoss(VerifyGeneration(world.kernel, *Current(world.kernel, kClass))));
  world.root.Remove("/blob");
  world.root.File("/blob", world.bytes);
  CHECK(*Establish(world.kernel, kClass, recipe, /*distrust=*/true));  // made anew
  CHECK(VerifyGeneration(world.kernel, *Current(world.kernel, kClass)).ok());
  Recipe other = recipe;
  other.promised["image"] = std::string(64, '0');
  CHECK(*Establish(world.kernel, kClass, other));  // the record says something else
}

TEST_CASE("who removes waits for nobody and disturbs nobody") {
  World world;
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  world.root.File(world.blob, "");
  {
    const auto fetching =
        StoreLock::Take(world.kernel, "/art", StoreLock::Kind::kShared, Duration::zero());
    REQUIRE(fetching.ok());
    CHECK(absl::IsUnavailable(CollectGarbage(world.kernel, "/art", {"kata-x"}).status()));
    CHECK(absl::IsUnavailable(RemoveAll(world.kernel, "/art")));
    CHECK(world.root.Exists(world.blob));
    CHECK(Establish(world.kernel, kClass, Simple("b")).ok());  // side by side with a fetch
  }
  const auto removing =
      StoreLock::Take(world.kernel, "/art", StoreLock::Kind::kAlone, Duration::zero());
  REQUIRE(removing.ok());
  CHECK(absl::IsCancelled(
      Establish(world.kernel, kClass, Simple("c"), false, [] { return true; }).status()));
}

TEST_CASE("garbage: parts that somebody fetches or has begun with today stay") {
  World world;
  for (const char* name : {"young", "old", "busy"}) {
    world.root.File(std::string("/art/cas/partial/") + name, "x");
  }
  world.Age("/art/cas/partial/old", 100'000);
  world.Age("/art/cas/partial/busy", 100'000);
  const UniqueFd busy(::open(world.root.Of("/art/cas/partial/busy").c_str(), O_RDWR));
  REQUIRE(::flock(busy.get(), LOCK_EX) == 0);
  REQUIRE(CollectGarbage(world.kernel, "/art", {}).ok());
  CHECK(*world.kernel.List("/art/cas/partial") == std::vector<std::string>{"busy", "young"});
}

TEST_CASE("garbage: what was pulled ahead of its time stays two weeks") {
  World world;
  world.root.File("/art/cas/sha256/aa", "");
  world.root.File("/art/cas/sha256/bb", "");
  REQUIRE(Pin(world.kernel, "/art", "one", {"aa"}).ok());
  REQUIRE(CollectGarbage(world.kernel, "/art", {}).ok());
  CHECK(*world.kernel.List("/art/cas/sha256") == std::vector<std::string>{"aa"});
  world.Age("/art/cas/pins/one", 15 * 86'400);
  REQUIRE(CollectGarbage(world.kernel, "/art", {}).ok());
  CHECK(world.kernel.List("/art/cas/sha256")->empty());
  CHECK(world.kernel.List("/art/cas/pins")->empty());
}

TEST_CASE("garbage: what a class was rolled back from stays, or it would be fetched each minute") {
  World world;
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  REQUIRE(Establish(world.kernel, kClass, Simple("b")).ok());
  State state;
  state.held["kata-x"] = "b";
  REQUIRE(WriteState(world.kernel, "/art", state).ok());
  REQUIRE(StepBack(world.kernel, kClass).ok());
  REQUIRE(CollectGarbage(world.kernel, "/art", {"kata-x"}).ok());
  CHECK(Generations(world.kernel, kClass).size() == 2);
}

TEST_CASE("garbage: below a symbolic link a process names files otherwise than we do") {
  World world;
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  world.root.Link("/linked", "art");
  fake::AddProcess(world.root, {.pid = 77, .exe = "/usr/bin/qemu"});
  world.root.Link("/proc/77/fd/5", world.root.path() + kClass + "/gen-1/configuration.toml");
  REQUIRE(CollectGarbage(world.kernel, "/linked", {}).ok());
  CHECK(Generations(world.kernel, kClass).size() == 1);
}

TEST_CASE("a link that stands in for a generation's name is none") {
  World world;
  REQUIRE(Establish(world.kernel, kClass, Simple("a")).ok());
  world.root.Link(std::string(kClass) + "/current", "../kata-y/gen-1");
  CHECK_FALSE(Current(world.kernel, kClass));
}
