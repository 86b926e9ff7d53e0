// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/background.h"

#include <catch2/catch.hpp>
#include <future>

#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

namespace {

bool IsReadable(int fd) { return service::WaitReadable({fd}, Duration::zero())[0]; }
void WaitFor(int fd) { service::WaitReadable({fd}, std::nullopt); }

struct World {
  absl::StatusOr<Recipe> Remote(const RuntimeClass& entry) {
    ++asked;
    if (hangs) {
      begun.set_value();
      WaitFor(background.cancel_fd());
      return absl::CancelledError("about to end");
    }
    Recipe recipe;
    recipe.identity = "remote " + entry.name;
    return recipe;
  }

  const RuntimeClass a{.name = "a"}, b{.name = "b"};
  Config config;
  std::atomic<int> asked = 0;
  std::atomic<bool> hangs = false;
  std::promise<void> begun;
  BackgroundFetch background{
      [](const RuntimeClass& entry, const Config&) -> absl::StatusOr<Recipe> {
        if (entry.name != "here") return absl::UnavailableError("not here");
        Recipe recipe;
        recipe.identity = "local";
        return recipe;
      },
      [this](const RuntimeClass& entry, const Config&) { return Remote(entry); }};
};

}  // namespace

TEST_CASE("what is here is given at once, what is not comes beside") {
  World world;
  CHECK(world.background.Fetch({.name = "here"}, world.config)->identity == "local");
  CHECK(world.asked == 0);
  CHECK_THAT(Text(world.background.Fetch(world.a, world.config).status()),
             Contains("are being fetched"));
  WaitFor(world.background.done_fd());
  CHECK(world.background.Fetch(world.a, world.config)->identity == "remote a");
  CHECK_FALSE(IsReadable(world.background.done_fd()));
  CHECK(world.asked == 1);
}

TEST_CASE("one after the other, and meanwhile what is here is given still") {
  World world;
  world.hangs = true;
  CHECK(absl::IsUnavailable(world.background.Fetch(world.a, world.config).status()));
  world.begun.get_future().wait();
  CHECK_THAT(Text(world.background.Fetch(world.b, world.config).status()),
             Contains("after those of a"));
  CHECK(world.background.Fetch({.name = "here"}, world.config)->identity == "local");
  CHECK(world.asked == 1);
  world.hangs = false;
  world.background.Cancel();
  CHECK(absl::IsUnavailable(world.background.Fetch(world.b, world.config).status()));
  WaitFor(world.background.done_fd());
  CHECK(world.background.Fetch(world.b, world.config)->identity == "remote b");
}

TEST_CASE("another configuration ends the fetch of before") {
  World world;
  world.hangs = true;
  CHECK(absl::IsUnavailable(world.background.Fetch(world.a, world.config).status()));
  world.begun.get_future().wait();
  world.hangs = false;
  Config other;
  other.artifacts_dir = "/other";
  CHECK(absl::IsUnavailable(world.background.Fetch(world.a, other).status()));
  WaitFor(world.background.done_fd());
  CHECK(world.background.Fetch(world.a, other)->identity == "remote a");
  CHECK_FALSE(IsReadable(world.background.cancel_fd()));
}

TEST_CASE("a fetch that failed is told, and begun anew when asked again") {
  World world;
  BackgroundFetch background(
      [](const RuntimeClass&, const Config&) { return absl::UnavailableError("not here"); },
      [&](const RuntimeClass&, const Config&) {
        ++world.asked;
        return absl::NotFoundError("no such artefact");
      });
  CHECK(absl::IsUnavailable(background.Fetch(world.a, world.config).status()));
  WaitFor(background.done_fd());
  CHECK(absl::IsNotFound(background.Fetch(world.a, world.config).status()));
  // It is on its way again; until it has come the trouble is the same.
  CHECK(absl::IsNotFound(background.Fetch(world.a, world.config).status()));
  WaitFor(background.done_fd());
  CHECK(world.asked == 2);
}
