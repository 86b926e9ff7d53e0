// SPDX-License-Identifier: Apache-2.0
//
// Whoever may have a GPU and cannot be seen keeps it: only force takes it away.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/other_process.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

// As kubelets 1.34.4 and 1.37.2 leave it while they start, restart or refuse to be asked that
// often.
const service::StatusDocument kUnknown{.reason = "users are not known: Connection refused",
                                       .devices = {{.bdf = "0000:01:00.0", .state = "withheld"}}};
const service::StatusDocument kNobody{
    .devices = {{.bdf = "0000:01:00.0", .state = "withheld", .users = std::vector<std::string>()}}};

struct Node : NodeWorld {
  explicit Node(WorkloadPolicy policy, bool admin = false)
      : NodeWorld({"h100-pcie"}, true, {{kMode, "on"}}, admin) {
    settings.policy = policy;
    Restart();
  }
  fake::OtherProcess plugin{machine.kernel, "sandbox-device-plugin"};
};

}  // namespace

TEST_CASE("users that the kubelet does not tell are waited for, also by drain") {
  const bool drain = GENERATE(false, true);
  Node world(drain ? WorkloadPolicy::kDrain : WorkloadPolicy::kWait, /*admin=*/true);
  world.wakeup.Then([&] { world.PluginAnswers(kUnknown); });
  world.wakeup.Pass(100);
  world.wakeup.Then([&] {
    CHECK(world.Document().reason.find("Connection refused") != std::string::npos);
    CHECK(world.Document().reason.find("the kubelet is to tell") != std::string::npos);
    CHECK(world.Resets() == 0);
    world.PluginAnswers(kNobody);
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("users that the kubelet does not tell refuse the change where none are waited for") {
  Node world(WorkloadPolicy::kRefuse);
  world.wakeup.Then([&] { world.PluginAnswers(kUnknown); });
  const auto result = world.Settle();
  CHECK(absl::IsFailedPrecondition(result.status));
  CHECK(Text(result.status).find("Connection refused") != std::string::npos);
  CHECK(Text(result.status).find("force") != std::string::npos);
  CHECK(world.Resets() == 0);
}

TEST_CASE("force goes on without knowing the users, and without an answer") {
  Node world(WorkloadPolicy::kForce);
  const bool answers = GENERATE(false, true);
  if (answers) world.wakeup.Then([&] { world.PluginAnswers(kUnknown); });
  world.wakeup.Pass(40);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("an old answer and one that cannot be read are none") {
  Node world(WorkloadPolicy::kWait);
  world.machine.root.File("/run/nvidia/gpuhost/sandbox-device-plugin.json", "{\"schema\": 1");
  world.wakeup.Then([&] {
    CHECK(world.Document().reason.find("not a status document") != std::string::npos);
    REQUIRE(service::Publish(world.machine.kernel, {.daemon = "sandbox-device-plugin",
                                                    .transition = "earlier",
                                                    .reason = "the kubelet is away"})
                .ok());
  });
  world.wakeup.Pass(100);
  world.wakeup.Then([&] {
    CHECK(world.Document().reason.find("restart it") != std::string::npos);
    CHECK(world.Document().reason.find("the kubelet is away") != std::string::npos);
    CHECK(world.Resets() == 0);
    world.PluginAnswers(kNobody);
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
}

TEST_CASE("pods that cannot be listed just now are not none") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}}, /*admin=*/true);
  world.server->AddPod({.name = "llm", .node = "n", .limits = {{"nvidia.com/pgpu", "1"}}});
  world.server->AddFault({.match = "/api/v1/pods", .times = 20, .code = 503});
  world.wakeup.Pass(30);
  world.wakeup.Then([&] {
    CHECK(world.Document().reason == "in use by pod default/llm");
    CHECK(world.Resets() == 0);
    world.server->DeletePod("default", "llm");
  });
  world.wakeup.Pass(5);
  CHECK(world.Settle().status.ok());
}

TEST_CASE("a right to list pods that is refused once is asked for again in the next change") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}}, /*admin=*/true);
  world.server->AddFault({.match = "/api/v1/pods", .times = 1, .code = 403});
  REQUIRE(world.Settle().status.ok());
  world.server->AddPod({.name = "llm", .node = "n", .limits = {{"nvidia.com/pgpu", "1"}}});
  world.SetMode("off");
  world.wakeup.Then([&] { world.server->DeletePod("default", "llm"); });
  world.wakeup.Pass(5);
  const uint64_t resets = world.Resets();
  CHECK(world.Settle().status.ok());
  CHECK(world.Resets() == resets + 1);
  CHECK(world.machine.clock.Now() > TimePoint());
  CHECK_FALSE(world.wakeup.exhausted());
  CHECK_FALSE(world.server->HasPod("default", "llm"));  // it was waited for
}

TEST_CASE("lists of pods are few while a change waits, and the last look is a fresh one") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}, {kVfio, "true"}}, /*admin=*/true);
  world.AddOperands();
  world.server->HoldOperands();
  const auto lists = [&] {
    int count = 0;
    for (const std::string& request : world.server->requests()) {
      if (request.find("/pods") != std::string::npos) ++count;
    }
    return count;
  };
  const TimePoint start = world.machine.clock.Now();
  bool counted = false;
  for (int i = 0; i < 100; ++i) {
    world.wakeup.Then([&] {
      if (counted || world.machine.clock.Now() - start < std::chrono::seconds(100)) return;
      counted = true;
      CHECK(lists() <= 40);
      // One comes at the last moment.
      world.server->AddPod({.name = "llm", .node = "n", .limits = {{"nvidia.com/pgpu", "1"}}});
      world.server->ReleaseOperands();
    });
  }
  world.settings.policy = WorkloadPolicy::kRefuse;
  world.Restart();
  const auto result = world.Settle();
  CHECK(counted);
  CHECK(Text(result.status).find("pod default/llm") != std::string::npos);
  CHECK(world.Resets() == 0);
}
