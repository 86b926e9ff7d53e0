// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;
using apiserver::Fault;
using Catch::Matchers::Contains;

namespace {

struct World {
  World() { server.AddNode("n"); }
  absl::StatusOr<kube::Pod> Only() {
    auto pods = client.ListPods("", "n");
    if (!pods.ok()) return pods.status();
    if (pods->size() != 1) return absl::InternalError("not one pod");
    return pods->front();
  }

  apiserver::ScriptedApiServer server;
  kube::CurlClient http;
  kube::Client client{http, [this] { return server.admin(); }};
};

std::string PodList(const std::string& spec, const std::string& metadata = "") {
  return R"({"kind":"PodList","metadata":{},"items":[{"metadata":{"name":"p","namespace":"d",)"
         R"("uid":"u")" +
         metadata + R"(},"spec":)" + spec + "}]}";
}

std::map<std::string, uint64_t> GpusOf(const std::string& spec) {
  const auto page = kube::ParsePodPage(PodList(spec));
  return page.ok() ? page->pods.at(0).gpus : std::map<std::string, uint64_t>{{"no list", 0}};
}

}  // namespace

TEST_CASE("pods of a node come with what matters of them, and no others") {
  World world;
  const std::string uid = world.server.AddPod({.name = "a",
                                               .node = "n",
                                               .labels = {{"app", "x"}},
                                               .owner_kind = "DaemonSet",
                                               .limits = {{"nvidia.com/pgpu", "2"}, {"cpu", "1"}}});
  world.server.AddPod({.name = "b", .name_space = "kube-system", .node = "n", .mirror = true});
  world.server.AddPod({.name = "c", .node = "another"});
  const auto all = world.client.ListPods("", "n");
  REQUIRE(all.ok());
  REQUIRE(all->size() == 2);
  const kube::Pod& a = all->at(0);
  CHECK(a.name == "a");
  CHECK(a.name_space == "default");
  CHECK(a.uid == uid);
  CHECK(a.node == "n");
  CHECK(a.phase == "Running");
  CHECK(a.labels == kube::Labels{{"app", "x"}});
  CHECK(a.of_daemon_set);
  CHECK(!a.mirror);
  CHECK(!a.terminating);
  CHECK(a.gpus == std::map<std::string, uint64_t>{{"nvidia.com/pgpu", 2}});
  CHECK(all->at(1).mirror);
  CHECK(!all->at(1).of_daemon_set);
  const auto one = world.client.ListPods("kube-system", "n");
  REQUIRE(one.ok());
  REQUIRE(one->size() == 1);
  CHECK(one->at(0).name == "b");
}

TEST_CASE("500 pods come page by page, each once") {
  World world;
  for (int i = 0; i < 500; ++i) {
    world.server.AddPod({.name = fmt::format("p{}", i), .node = "n"});
    world.server.AddPod({.name = fmt::format("q{}", i), .node = "another"});
  }
  const auto fault = [&](int times) {
    world.server.AddFault({.match = "continue=", .times = times, .code = 410});
  };
  std::set<std::string> names;
  SECTION("undisturbed") {}
  SECTION("once too slowly for the server") { fault(1); }
  const auto pods = world.client.ListPods("", "n");
  REQUIRE(pods.ok());
  for (const kube::Pod& pod : *pods) names.insert(pod.name);
  CHECK(pods->size() == 500);
  CHECK(names.size() == 500);
  CHECK(world.server.requests().size() >= 10);

  fault(2);
  CHECK(absl::IsOutOfRange(world.client.ListPods("", "n").status()));
}

TEST_CASE("a page that is too old is told so by the server itself") {
  World world;
  for (int i = 0; i < 60; ++i) world.server.AddPod({.name = fmt::format("p{}", i), .node = "n"});
  world.server.AddFault({.kind = Fault::Kind::kHang, .match = "continue="});
  std::thread forget([&] {
    world.server.AwaitHanging();
    world.server.ForgetAll();
    world.server.Release();
  });
  const auto pods = world.client.ListPods("", "n");
  forget.join();
  REQUIRE(pods.ok());
  CHECK(pods->size() == 60);
  CHECK(world.server.requests().size() == 4);
}

TEST_CASE("what a pod asks for is counted as the scheduler counts it") {
  using Gpus = std::map<std::string, uint64_t>;
  CHECK(GpusOf(R"({"containers":[{"resources":{"limits":{"nvidia.com/pgpu":"1"}}},
                                 {"resources":{"requests":{"nvidia.com/pgpu":"2"}}}]})") ==
        Gpus{{"nvidia.com/pgpu", 3}});
  CHECK(GpusOf(R"({"containers":[{"resources":{"limits":{"nvidia.com/a":"1"}}}],
      "initContainers":[{"resources":{"limits":{"nvidia.com/a":"4"}}},
                        {"restartPolicy":"Always","resources":{"limits":{"nvidia.com/a":"1"}}}]})") ==
        Gpus{{"nvidia.com/a", 4}});
  CHECK(GpusOf(R"({"containers":[{"resources":{"limits":{"nvidia.com/a":"0","cpu":"1"}}}]})") ==
        Gpus{});
  for (const char* odd : {R"("1k")", R"("-1")", "{}", "null", R"("99999999999999999999")", "1.5"}) {
    CAPTURE(odd);
    CHECK(GpusOf(fmt::format(
              R"({{"containers":[{{"resources":{{"limits":{{"nvidia.com/a":{}}}}}}}]}})", odd)) ==
          Gpus{{"nvidia.com/a", 1}});
  }
  for (const char* spec :
       {"null", "[]", "1", R"({"containers":1})", R"({"containers":[1,[],null]})",
        R"({"containers":[{"resources":{"limits":[]}}]})"}) {
    CAPTURE(spec);
    CHECK(GpusOf(spec) == Gpus{});
  }
}

TEST_CASE("what is no list of pods is an error, not a crash") {
  for (const char* body : {"", "{", "null", "[]", R"({"kind":"NodeList","items":[]})",
                           R"({"kind":"PodList","items":{}})", R"({"kind":"PodList","items":[1]})",
                           R"({"kind":"PodList","items":[{"metadata":{"name":"x"}}]})"}) {
    CAPTURE(body);
    CHECK(absl::IsDataLoss(kube::ParsePodPage(body).status()));
  }
  CHECK(kube::ParsePodPage(R"({"kind":"PodList","items":null})")->pods.empty());
  World world;
  CHECK(absl::IsInvalidArgument(world.client.ListPods("../x", "n").status()));
  CHECK(absl::IsInvalidArgument(world.client.ListPods("", "n,x").status()));
  world.server.AddFault({.kind = Fault::Kind::kText, .code = 200, .text = "<html>"});
  CHECK(absl::IsDataLoss(world.client.ListPods("", "n").status()));
  // Each answer promises another page.
  world.server.AddFault({.kind = Fault::Kind::kText,
                         .times = 1 << 20,
                         .code = 200,
                         .text = R"({"kind":"PodList","metadata":{"continue":"x"},"items":[]})"});
  CHECK_THAT(Text(world.client.ListPods("", "n").status()), Contains("no end"));
}

TEST_CASE("an evicted pod goes, and one that is gone is no error") {
  World world;
  world.server.AddPod({.name = "p", .node = "n"});
  const auto pod = world.Only();
  REQUIRE(pod.ok());
  CHECK(world.client.EvictPod(*pod).ok());
  CHECK(!world.server.HasPod("default", "p"));
  CHECK(world.client.EvictPod(*pod).ok());
}

TEST_CASE("a pod that has the name of one that is gone is left alone") {
  World world;
  world.server.AddPod({.name = "p", .node = "n"});
  const auto old = world.Only();
  REQUIRE(old.ok());
  world.server.DeletePod("default", "p");
  world.server.AddPod({.name = "p", .node = "n"});
  CHECK(world.client.EvictPod(*old).ok());
  CHECK(world.server.HasPod("default", "p"));
  // A conflict of another kind is none about the pod's identity.
  world.server.Refuse(1, 409);
  CHECK(absl::IsAborted(world.client.EvictPod(*old)));
}

TEST_CASE("a pod that takes its time shows as terminating") {
  World world;
  world.server.AddPod({.name = "p", .node = "n", .lingers = true});
  CHECK(world.client.EvictPod(*world.Only()).ok());
  CHECK(world.Only()->terminating);
  world.server.DeletePod("default", "p");
  CHECK(world.client.ListPods("", "n")->empty());
}

TEST_CASE("disruption budgets are honoured and named") {
  World world;
  world.server.AddPod({.name = "p", .node = "n", .labels = {{"app", "db"}}});
  world.server.AddBudget({.name = "two-of-three", .match = {{"app", "db"}}, .needed = 2});
  const kube::Pod pod = *world.Only();
  const absl::Status status = world.client.EvictPod(pod);
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Text(status), Contains("default/p") && Contains("two-of-three needs 2"));

  world.server.AddBudget({.name = "another", .match = {{"app", "db"}}, .allowed = 1});
  CHECK(absl::IsFailedPrecondition(world.client.EvictPod(pod)));
  // Also where the HTTP status tells of it.
  world.server.AddFault({.code = 500, .text = "This pod has more than one PodDisruptionBudget"});
  CHECK(absl::IsFailedPrecondition(world.client.EvictPod(pod)));
  CHECK(world.server.HasPod("default", "p"));
}

TEST_CASE("the operator's account sees pods of its own namespace and evicts none") {
  World world;
  world.server.AddPod({.name = "p", .name_space = "gpu-operator", .node = "n"});
  kube::Client client(world.http, [&] { return world.server.cc_manager("gpu-operator"); });
  const auto pods = client.ListPods("gpu-operator", "n");
  REQUIRE(pods.ok());
  CHECK(pods->size() == 1);
  const auto everywhere = client.ListPods("", "n").status();
  CHECK(absl::IsPermissionDenied(everywhere));
  CHECK_THAT(Text(everywhere), Contains("pods is forbidden: User \"system:serviceaccount:"
                                        "gpu-operator:nvidia-cc-manager\" cannot list resource "
                                        "\"pods\" in API group \"\" at the cluster scope"));
  CHECK_THAT(Text(client.EvictPod(pods->at(0))),
             Contains("cannot create resource \"pods/eviction\"") &&
                 Contains("in the namespace \"gpu-operator\""));
  CHECK(world.server.HasPod("gpu-operator", "p"));
  CHECK(client.PatchNodeLabels("n", {{"nvidia.com/a", "1"}}).ok());
}

TEST_CASE("operands follow their label after as many requests as they are told") {
  World world;
  const std::string label = "nvidia.com/gpu.deploy.device-plugin";
  world.server.SetLabels("n", {{label, "true"}});
  world.server.AddOperand(
      {.node = "n", .label = label, .name_space = "gpu-operator", .app = "plugin", .lag = 2});
  const auto count = [&] { return world.client.ListPods("gpu-operator", "n")->size(); };
  CHECK(count() == 0);
  CHECK(count() == 1);
  REQUIRE(world.client.PatchNodeLabels("n", {{label, "paused"}}).ok());
  CHECK(count() == 1);
  CHECK(count() == 0);
  world.server.HoldOperands();
  REQUIRE(world.client.PatchNodeLabels("n", {{label, "true"}}).ok());
  for (int i = 0; i < 5; ++i) CHECK(count() == 0);
  world.server.ReleaseOperands();
  CHECK(count() == 0);
  CHECK(count() == 1);
}
