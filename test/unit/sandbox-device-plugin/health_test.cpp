// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/health.h"

#include <catch2/catch.hpp>

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const Unit kTwo{.id = "2", .bdfs = {{.bus = 2}}, .nodes = {"/dev/vfio/2"}};
const Unit kTen{.id = "10", .bdfs = {{.bus = 10}}, .nodes = {"/dev/vfio/10"}};
const Unit kEleven{.id = "11", .bdfs = {{.bus = 11}}, .nodes = {"/dev/vfio/11"}};
const Problem kDead{Reason::kNoAnswer, "does not answer"};

using Problems = std::map<std::string, Problem>;

std::vector<Listed> List(const std::vector<Listed>& before, const std::vector<Unit>& present,
                         int milliseconds = 0, const Problems& problems = {}, bool keep = true) {
  return Relist(before, present, problems, TimePoint(std::chrono::milliseconds(milliseconds)),
                [&](const Unit&) { return keep; });
}

}  // namespace

TEST_CASE("a unit stays listed while it is away and is healthy when it is back for good") {
  const auto first = List({}, {kTwo, kTen});
  CHECK(first == std::vector<Listed>{{kTwo, {}}, {kTen, {}}});

  const auto without = List(first, {kTen, kEleven}, 10);
  REQUIRE(without.size() == 3);
  CHECK(without[0].unit == kTwo);
  CHECK(without[0].problem.reason == Reason::kGone);
  CHECK(without[1].healthy());
  CHECK(without[2].unit == kEleven);

  const auto none = List(without, {}, 20);
  CHECK(none.size() == 3);
  const auto back = List(none, {kTwo, kTen, kEleven}, 30);
  CHECK(back[0].problem.reason == Reason::kSettling);
  CHECK_FALSE(List(back, {kTwo, kTen, kEleven}, 1029)[0].healthy());
  CHECK(List(back, {kTwo, kTen, kEleven}, 1030)[0].healthy());
}

TEST_CASE("a unit that is away and that nobody has is forgotten") {
  const auto listed = List(List({}, {kTwo, kTen}), {kTen}, 10, {}, false);
  CHECK(listed == std::vector<Listed>{{kTen, {}}});
}

TEST_CASE("a unit that comes and goes is not offered in between") {
  auto listed = List({}, {kTwo});
  int now = 0;
  for (int i = 0; i < 10; ++i) {
    listed = List(listed, {kTwo}, now += 300, {{"2", kDead}});
    CHECK(listed[0].problem == kDead);
    listed = List(listed, {kTwo}, now += 300);
    CHECK(listed[0].problem.reason == Reason::kSettling);
    listed = List(listed, {kTwo}, now += 600);
    CHECK(listed[0].problem.reason == Reason::kSettling);
  }
  CHECK(List(listed, {kTwo}, now += 400)[0].healthy());
}

TEST_CASE("what others decided ends when they say so, without a wait") {
  for (const Reason reason :
       {Reason::kModeChange, Reason::kOpen, Reason::kCheckpoint, Reason::kNoCdi}) {
    const auto before = List({}, {kTwo}, 0, {{"2", {reason, "x"}}});
    CHECK_FALSE(before[0].healthy());
    CHECK(List(before, {kTwo}, 1)[0].healthy());
  }
}

TEST_CASE("a unit that comes back with other devices is listed with those") {
  Unit moved = kTwo;
  moved.bdfs = {{.bus = 9}};
  CHECK(List(List({}, {kTwo}), {moved}) == std::vector<Listed>{{moved, {}}});
}

TEST_CASE("a withdrawal marks the units that have one of its devices") {
  Unit pair = kTen;
  pair.bdfs.push_back({.bus = 12});
  auto listed = List({}, {kTwo, pair, kEleven}, 0, {{"11", kDead}});
  const Problem change{Reason::kModeChange, "change"};
  Withhold(listed, {{"0000:0c:00.0", change}, {"0000:0b:00.0", change}});
  CHECK(listed[0].healthy());
  CHECK(listed[1].problem.reason == Reason::kModeChange);
  CHECK(listed[2].problem == kDead);
}

TEST_CASE("what is new can be held back without touching what was offered") {
  const auto before = List({}, {kTwo, kTen});
  auto after = List(before, {kTen, kEleven});
  HoldBack(after, before, {Reason::kNoCdi, "is in no CDI file"});
  CHECK(after[0].problem.reason == Reason::kGone);
  CHECK(after[1].healthy());
  CHECK(after[2].problem.reason == Reason::kNoCdi);
}
