// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/kata-manager/state.h"
#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

struct Node : KataNode {
  Node() { root.File(kMain, "version = 2\n"); }
  State state() { return *ReadState(kernel, options.artifacts_dir); }
};

}  // namespace

TEST_CASE("a restart that would end pods is not done, and said to be due") {
  Node node;
  node.services.unit.kill_mode = "control-group";
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(), Catch::Contains("KillMode=control-group"));
  CHECK(report.runtime.changed);
  CHECK(node.services.count == 0);
  CHECK(node.state().restart_due);
  node.services.unit.kill_mode = "process";
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.services.count == 1);
  CHECK_FALSE(node.state().restart_due);
}

TEST_CASE("a restart by somebody else will do") {
  Node node;
  CHECK_FALSE(node.Apply(kOneClass + "containerd: {restart: never}\n").AllWell());
  node.services.now += 5;
  node.services.Start();
  CHECK(node.Apply(kOneClass + "containerd: {restart: never}\n").AllWell());
  CHECK(node.services.count == 0);
}

TEST_CASE("a containerd that does not run reads its files when it starts") {
  Node node;
  node.services.unit.active = false;
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.services.count == 0);
}

TEST_CASE("once in ten minutes, three times a day") {
  Node node;
  const auto change = [&](int number) {
    return node.Apply(
        fmt::format("{}- name: kata-{}\n  configPath: {}\n", kOneClass, number, kVendor));
  };
  CHECK(change(0).AllWell());
  node.services.now += 60;
  CHECK_THAT(change(1).Trouble(), Catch::Contains("once in ten minutes"));
  CHECK(node.services.count == 1);
  node.services.now += 600;
  CHECK(change(1).AllWell());
  node.services.now += 601;
  CHECK(change(2).AllWell());
  node.services.now += 601;
  CHECK_FALSE(change(3).AllWell());
  CHECK(node.services.count == 3);
  node.services.now += 86'400;
  CHECK(change(3).AllWell());
  CHECK(node.services.count == 4);
}

TEST_CASE("a change that containerd does not survive is taken back, and not tried again") {
  Node node;
  const int kind = GENERATE(0, 1, 2);
  if (kind == 0) node.services.answers = {absl::FailedPreconditionError("ended with 'failed'")};
  if (kind == 1) node.services.crash_loop = true;
  if (kind == 2) node.socket_answers = false;
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(), Catch::Contains("the change was taken back"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 2);
  node.services.crash_loop = false;
  node.socket_answers = true;
  node.services.now += 86'400;
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("this change was taken back before"));
  CHECK(node.services.count == 2);
  CHECK(node.Content(kMain) == "version = 2\n");
  node.options.force = true;
  CHECK(node.Apply(kOneClass).AllWell());
}

TEST_CASE("a handler that containerd has not loaded after its restart is taken back") {
  Node node;
  node.disliked = "kata-x";
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(),
             Catch::Contains("has not loaded kata-x, but runc; see journalctl -u containerd") &&
                 Catch::Contains("the change was taken back"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 2);
  CHECK(*node.running == std::set<std::string>{"runc"});
}

TEST_CASE("a containerd that does not tell its handlers is believed") {
  Node node;
  node.tells = false;
  node.disliked = "kata-x";
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.services.count == 1);
}

TEST_CASE("one that loses a handler later is told of, and not restarted for that") {
  Node node;
  Deps deps = node.deps();
  const Config config = node.config(kOneClass);
  REQUIRE(node.Apply(kOneClass).AllWell());
  CHECK_THAT(DescribeStatus(deps, node.options, config), Catch::Contains(" yes "));
  CHECK(Verify(deps, node.options, config).empty());
  node.running = std::set<std::string>{"runc"};
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("runs without kata-x"));
  CHECK_THAT(DescribeStatus(deps, node.options, config), Catch::Contains(" no "));
  CHECK(Verify(deps, node.options, config) ==
        std::vector<std::string>{"the container runtime runs without the handler kata-x"});
  CHECK(node.services.count == 1);
  node.tells = false;
  CHECK_THAT(DescribeStatus(deps, node.options, config), Catch::Contains(" -        0"));
  CHECK(node.Apply(kOneClass).AllWell());
}

TEST_CASE(
    "stopped while containerd restarts, nothing is taken back, and the next process goes on") {
  Node node;
  node.services.answers = {absl::CancelledError("about to end")};
  CHECK_FALSE(node.Apply(kOneClass).AllWell());
  CHECK(node.state().restart_due);
  const std::string with = node.Content(kMain);
  node.services.Start();  // the job went on
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.services.count == 1);
  CHECK(node.Content(kMain) == with);
}

TEST_CASE("a record that cannot be read changes nothing") {
  Node node;
  node.root.File("/var/lib/gpuhost/kata/state.json", "{");
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("state.json"));
  CHECK(node.Content(kMain) == "version = 2\n");
}
