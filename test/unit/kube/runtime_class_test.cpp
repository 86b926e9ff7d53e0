// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/runtime_class.h"

#include <catch2/catch.hpp>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;
using Catch::Matchers::Contains;

namespace {

struct World {
  apiserver::ScriptedApiServer server;
  kube::CurlClient http;
  kube::Client client{http, [this] { return server.admin(); }};
};

}  // namespace

TEST_CASE("runtime classes come with handler, selector and overhead") {
  World world;
  const auto none = world.client.ListRuntimeClasses();
  REQUIRE(none.ok());
  CHECK(none->empty());
  world.server.AddRuntimeClass({.name = "kata",
                                .handler = "kata-qemu",
                                .labels = {{"a", "b"}},
                                .node_selector = {{"zone", "x"}},
                                .overhead = {{"memory", "10240Mi"}}});
  world.server.AddRuntimeClass({.name = "runc", .handler = "runc"});
  const auto found = world.client.ListRuntimeClasses();
  REQUIRE(found.ok());
  REQUIRE(found->size() == 2);
  const kube::RuntimeClass& kata = found->at(0);
  CHECK(kata.name == "kata");
  CHECK(kata.handler == "kata-qemu");
  CHECK(kata.labels == kube::Labels{{"a", "b"}});
  CHECK(kata.node_selector == kube::Labels{{"zone", "x"}});
  CHECK(kata.overhead == kube::Quantities{{"memory", "10240Mi"}});
  CHECK(found->at(1).node_selector.empty());
}

TEST_CASE(
    "who may not list runtime classes is told which right is missing, and may ask the version") {
  World world;
  kube::Client stranger(world.http, [&] { return world.server.stranger(); });
  const absl::Status denied = stranger.ListRuntimeClasses().status();
  CHECK(absl::IsPermissionDenied(denied));
  CHECK_THAT(Text(denied), Contains("runtimeclasses.node.k8s.io is forbidden") &&
                               Contains("in API group \"node.k8s.io\" at the cluster scope"));
  CHECK(stranger.ServerVersion().value() == "v1.34.2");
}

TEST_CASE("what a node can give to pods comes with it") {
  World world;
  world.server.AddNode("n");
  world.server.SetAllocatable("n", {{"nvidia.com/pgpu", "8"}, {"memory", "500Gi"}});
  const auto node = world.client.GetNode("n");
  REQUIRE(node.ok());
  CHECK(node->allocatable == kube::Quantities{{"nvidia.com/pgpu", "8"}, {"memory", "500Gi"}});
}

TEST_CASE("what is no list of runtime classes and no version is refused") {
  const char* text = GENERATE(
      "", "null", "[]", R"({"kind":"RuntimeClassList","items":7})", R"({"kind":"PodList"})",
      R"({"kind":"RuntimeClassList","items":[{"metadata":{"name":"x"}}]})",
      R"({"kind":"RuntimeClassList","items":[{"handler":"x"}]})", R"({"gitVersion":1})");
  CAPTURE(text);
  CHECK(absl::IsDataLoss(kube::ParseRuntimeClasses(text).status()));
  CHECK(absl::IsDataLoss(kube::ParseServerVersion(text).status()));
}

TEST_CASE("a list of no runtime classes may be null, and odd members do no harm") {
  CHECK(kube::ParseRuntimeClasses(R"({"kind":"RuntimeClassList","items":null})")->empty());
  const auto odd = kube::ParseRuntimeClasses(
      R"({"kind":"RuntimeClassList","items":[{"metadata":{"name":"x","labels":[]},"handler":"y",)"
      R"("overhead":{"podFixed":{"a":1}},"scheduling":"z"}]})");
  REQUIRE(odd.ok());
  CHECK(odd->at(0).overhead.empty());
  CHECK(odd->at(0).node_selector.empty());
}
