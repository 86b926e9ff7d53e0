// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM: every state ends well within the thirty seconds that a pod is given, and the cluster
// hears the last word if it listens at all.
#include <sys/eventfd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "daemons/cc-manager/run.h"
#include "daemons/cc-manager/stoppable_http.h"
#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

TEST_CASE("the last word is said again to an API server that does not listen at first") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.HoldOpen(0, 7, "qemu");
  world.SetMode("on");
  world.wakeup.Then([&] {
    CHECK(world.ReadyState() == "");
    world.server->AddFault({.match = "PATCH", .times = 3, .code = 503});
    world.wakeup.Stop();
  });
  CHECK(world.Settle().stopped);
  CHECK(world.ModeState() == "off");
  CHECK(world.ReadyState() == "false");
}

TEST_CASE("an API server that never listens does not keep a stop waiting") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.HoldOpen(0, 7, "qemu");
  world.SetMode("on");
  TimePoint stopped;
  world.wakeup.Then([&] {
    world.server->AddFault({.match = "PATCH", .times = 10000, .code = 503});
    stopped = world.machine.clock.Now();
    world.wakeup.Stop();
  });
  CHECK(world.Settle().stopped);
  CHECK(world.machine.clock.Now() - stopped <= std::chrono::seconds(10));
}

TEST_CASE("one pass that cannot report ends when it is told to") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  world.server->AddFault({.match = "PATCH", .times = 10000, .code = 503});
  world.wakeup.Then([&] { world.wakeup.Stop(); });
  const size_t before = world.server->patches().size();
  CHECK(RunOnce(*world.manager, *world.reporter, world.wakeup) != 0);
  CHECK(world.server->patches().size() - before <= 4);
}

TEST_CASE("a request that hangs ends with the stop, and the last word has its own time") {
  NodeWorld world({"h100-pcie"});
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  fake::FakeClock clock;
  StoppableHttp http(stop, clock, std::chrono::seconds(5));
  const kube::Request get{.path = "/api/v1/nodes/n"};
  world.server->AddFault({.kind = apiserver::Fault::Kind::kHang});
  {
    const std::jthread stopper([&] {
      world.server->AwaitHanging();
      ::eventfd_write(stop, 1);
    });
    CHECK(absl::IsCancelled(http.Send(world.server->admin(), get).status()));
  }
  world.server->Release();
  CHECK(http.Send(world.server->admin(), get).ok());
  clock.SleepFor(std::chrono::seconds(4));
  CHECK(http.Send(world.server->admin(), get).ok());
  clock.SleepFor(std::chrono::seconds(2));
  CHECK(absl::IsCancelled(http.Send(world.server->admin(), get).status()));
  ::close(stop);
}
