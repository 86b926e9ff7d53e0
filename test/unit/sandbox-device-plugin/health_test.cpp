// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/health.h"

#include <catch2/catch.hpp>

using namespace gpuhost::sandbox_device_plugin;

namespace {

const Unit kTwo{.id = "2", .nodes = {"/dev/vfio/2"}};
const Unit kTen{.id = "10", .nodes = {"/dev/vfio/10"}};
const Unit kEleven{.id = "11", .nodes = {"/dev/vfio/11"}};

}  // namespace

TEST_CASE("a unit stays listed while it is away and is healthy when it is back") {
  const auto first = Relist({}, {kTwo, kTen});
  CHECK(first == std::vector<Listed>{{kTwo, ""}, {kTen, ""}});

  const auto without = Relist(first, {kTen, kEleven});
  REQUIRE(without.size() == 3);
  CHECK(without[0].unit == kTwo);
  CHECK_FALSE(without[0].healthy());
  CHECK(without[1].healthy());
  CHECK(without[2].unit == kEleven);

  const auto none = Relist(without, {});
  CHECK(none.size() == 3);
  CHECK(Relist(none, {kTwo, kTen, kEleven})[0].healthy());
}

TEST_CASE("a unit that comes back with other devices is listed with those") {
  Unit moved = kTwo;
  moved.bdfs = {{.bus = 9}};
  const auto listed = Relist(Relist({}, {kTwo}), {moved});
  CHECK(listed == std::vector<Listed>{{moved, ""}});
}

TEST_CASE("what is new can be held back without touching what was offered") {
  const auto before = Relist({}, {kTwo, kTen});
  auto after = Relist(before, {kTen, kEleven});
  HoldBack(after, before, "is in no CDI file");
  CHECK(after[0].problem == "is gone or no longer on vfio-pci");
  CHECK(after[1].healthy());
  CHECK(after[2].problem == "is in no CDI file");
}
