// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/cluster.h"

#include <catch2/catch.hpp>

#include "daemons/common/kube/curl_client.h"
#include "daemons/node-validator/report/report.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;
using apiserver::ScriptedApiServer;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kHandler = "kata-qemu-nvidia-gpu-snp";
const apiserver::Texts kLabels = {{"nvidia.com/gpu.workload.config", "vm-passthrough"},
                                  {"nvidia.com/cc.ready.state", "true"},
                                  {"katacontainers.io/kata-runtime", "true"},
                                  {"amd.feature.node.kubernetes.io/snp", "true"}};

// A healthy node, and a cluster to which it belongs.
struct World {
  World() {
    server.AddNode("gpu-7", kLabels);
    server.SetAllocatable("gpu-7", {{"cpu", "192"}, {"sev-snp.amd.com/esids", "99"}});
  }
  // As kata-deploy makes it.
  apiserver::ScriptedRuntimeClass Class() const {
    return {.name = kHandler,
            .handler = kHandler,
            .node_selector = {{"nvidia.com/cc.ready.state", "true"},
                              {"amd.feature.node.kubernetes.io/snp", "true"},
                              {"katacontainers.io/kata-runtime", "true"}},
            .overhead = {{"memory", "10240Mi"}, {"cpu", "1"}, {"sev-snp.amd.com/esids", "1"}}};
  }

  Report Look(const std::string& name = "gpu-7") { return Look(server.admin(), name); }
  Report Look(const kube::Endpoint& endpoint, const std::string& name) {
    const HostFs fs(node.root().path());
    const Tree tree(fs);
    Facts facts = Observe(tree, *AskCapture(tree));
    kube::Client client(http, [&] { return endpoint; });
    facts.cluster = ObserveCluster(client, name);
    return Judge(facts);
  }

  test::NodeTree node{"snp-healthy"};
  ScriptedApiServer server;
  kube::CurlClient http;
};

const Line& Of(const Report& report, std::string_view id) {
  for (const Line& line : report.lines) {
    if (line.check->id == id) return line;
  }
  throw std::runtime_error(std::string(id) + " was not made");
}

State StateOf(const Report& report, std::string_view id) { return Of(report, id).finding.state; }
std::string SeenOf(const Report& report, std::string_view id) {
  return Of(report, id).finding.observed;
}

constexpr const char* kAll[] = {"API-VER", "RC-HANDLER", "RC-SELECT", "RC-OVERHEAD", "RC-STALE"};

}  // namespace

TEST_CASE("in a cluster where all is well all checks of it are fine") {
  World world;
  world.server.AddRuntimeClass(world.Class());
  const Report report = world.Look();
  for (const char* id : kAll) {
    CAPTURE(id, SeenOf(report, id));
    CHECK(StateOf(report, id) == State::kPass);
  }
  for (const char* id : {"LABEL-WORKLOAD", "LABEL-READY", "LABEL-KATA"}) {
    CHECK(StateOf(report, id) == State::kPass);
  }
  CHECK(VerdictOf(report) == Verdict::kReady);
}

TEST_CASE("without a RuntimeClass no pod can ask for the handler") {
  World world;
  world.server.AddRuntimeClass({.name = "runc", .handler = "runc"});
  const Report report = world.Look();
  CHECK(StateOf(report, "RC-HANDLER") == State::kFail);
  CHECK(Of(report, "RC-HANDLER").severity == Severity::kFatal);
  CHECK(Of(report, "RC-HANDLER").finding.subject == kHandler);
  CHECK(StateOf(report, "RC-SELECT") == State::kSkipped);
  CHECK(StateOf(report, "RC-OVERHEAD") == State::kSkipped);
  CHECK(VerdictOf(report) == Verdict::kNotReady);
}

TEST_CASE("a selector that the node does not meet is named with what it has") {
  World world;
  world.server.AddRuntimeClass(world.Class());
  SECTION("a missing label") {
    world.server.SetLabels("gpu-7", {{"amd.feature.node.kubernetes.io/snp", {}}});
    const Report report = world.Look();
    CHECK(StateOf(report, "RC-SELECT") == State::kFail);
    CHECK_THAT(SeenOf(report, "RC-SELECT"),
               Contains("amd.feature.node.kubernetes.io/snp=true, which the node has not"));
    CHECK(Of(report, "RC-SELECT").follows.empty());
  }
  SECTION("another value, whose cause is known") {
    world.server.SetLabels("gpu-7", {{"nvidia.com/cc.ready.state", "false"}});
    const Report report = world.Look();
    CHECK_THAT(SeenOf(report, "RC-SELECT"), Contains("the node has 'false'"));
    CHECK(Of(report, "RC-SELECT").follows == "LABEL-READY");
  }
  SECTION("one of two classes is enough") {
    world.server.SetLabels("gpu-7", {{"amd.feature.node.kubernetes.io/snp", {}}});
    world.server.AddRuntimeClass({.name = "any-node", .handler = kHandler});
    CHECK(SeenOf(world.Look(), "RC-SELECT") == "any-node chooses this node");
  }
}

TEST_CASE("what a class takes for each pod must be there") {
  World world;
  auto its = world.Class();
  SECTION("as much as is asked for") {
    const auto [asked, there, state] =
        GENERATE(table<const char*, const char*, State>({{"1", "99", State::kPass},
                                                         {"1", "1", State::kPass},
                                                         {"1", "0", State::kFail},
                                                         {"1500", "2k", State::kPass},
                                                         {"3k", "2k", State::kFail}}));
    CAPTURE(asked, there);
    its.overhead["sev-snp.amd.com/esids"] = asked;
    world.server.AddRuntimeClass(its);
    world.server.SetAllocatable("gpu-7", {{"sev-snp.amd.com/esids", there}});
    CHECK(StateOf(world.Look(), "RC-OVERHEAD") == state);
  }
  SECTION("on a node that has none of it") {
    its.overhead = {{"tdx.intel.com/keys", "1"}};
    world.server.AddRuntimeClass(its);
    const Report report = world.Look();
    CHECK(StateOf(report, "RC-OVERHEAD") == State::kFail);
    CHECK_THAT(SeenOf(report, "RC-OVERHEAD"), Contains("1 of tdx.intel.com/keys"));
    CHECK(VerdictOf(report) == Verdict::kNotReady);
  }
}

TEST_CASE("classes whose handler is gone are found where they choose this node") {
  World world;
  world.server.AddRuntimeClass(world.Class());
  const auto state = [&] { return StateOf(world.Look(), "RC-STALE"); };
  const auto former = [](const std::string& name, const std::string& handler,
                         const apiserver::Texts& selector) {
    return apiserver::ScriptedRuntimeClass{.name = name,
                                           .handler = handler,
                                           .labels = {{"nvidia.com/kata-runtime-class", "true"}},
                                           .node_selector = selector};
  };
  SECTION("the former kata-manager's") {
    world.server.AddRuntimeClass(former("elsewhere", "kata-old", {{"zone", "x"}}));
    world.server.AddRuntimeClass(former("in-use", kHandler, {}));
    CHECK(state() == State::kPass);
    world.server.AddRuntimeClass(former("left", "kata-old", {}));
    const Report report = world.Look();
    CHECK(StateOf(report, "RC-STALE") == State::kFail);
    CHECK(SeenOf(report, "RC-STALE") == "without a handler here: left (kata-old)");
    CHECK(VerdictOf(report) == Verdict::kDegraded);
  }
  SECTION("Kata's, only where they choose nodes, and never those of others") {
    world.server.AddRuntimeClass({.name = "kata-any", .handler = "kata-any"});
    world.server.AddRuntimeClass(
        {.name = "gvisor", .handler = "runsc", .node_selector = {kLabels.begin(), kLabels.end()}});
    CHECK(state() == State::kPass);
    world.server.AddRuntimeClass({.name = "kata-fc",
                                  .handler = "kata-fc",
                                  .node_selector = {{"katacontainers.io/kata-runtime", "true"}}});
    CHECK(SeenOf(world.Look(), "RC-STALE") == "without a handler here: kata-fc (kata-fc)");
  }
}

TEST_CASE("the control plane's version") {
  World world;
  world.server.AddRuntimeClass(world.Class());
  const auto [version, state] =
      GENERATE(table<const char*, State>({{"v1.32.0", State::kPass},
                                          {"v1.37.1-gke.9", State::kPass},
                                          {"v1.31.9", State::kFail},
                                          {"no version", State::kUnknown}}));
  CAPTURE(version);
  world.server.SetVersion(version);
  const Report report = world.Look();
  CHECK(StateOf(report, "API-VER") == state);
  CHECK(VerdictOf(report) == (state == State::kFail ? Verdict::kDegraded : Verdict::kReady));
}

TEST_CASE("without access nothing fails, and the reason is told") {
  World world;
  SECTION("nobody was asked") {
    const HostFs fs(world.node.root().path());
    const Tree tree(fs);
    const Report report = Judge(Observe(tree, *AskCapture(tree)));
    for (const char* id : kAll) {
      CHECK(StateOf(report, id) == State::kSkipped);
      CHECK_THAT(SeenOf(report, id), Contains("asked"));
    }
  }
  SECTION("the server is not reached") {
    world.server.SetOutage(apiserver::Outage::kRefused);
    const Report report = world.Look();
    for (const char* id : kAll) {
      CHECK(StateOf(report, id) == State::kSkipped);
      CHECK_THAT(SeenOf(report, id), Contains("127.0.0.1"));
    }
    CHECK(VerdictOf(report) == Verdict::kReady);
  }
  SECTION("no node is named") {
    world.server.AddRuntimeClass(world.Class());
    const Report report = world.Look("");
    CHECK(StateOf(report, "API-VER") == State::kPass);
    CHECK(StateOf(report, "RC-HANDLER") == State::kPass);
    CHECK(StateOf(report, "RC-SELECT") == State::kSkipped);
    CHECK_THAT(SeenOf(report, "RC-SELECT"), Contains("--node-name"));
  }
}

TEST_CASE("without the right to list RuntimeClasses they are unknown, and the right is named") {
  World world;
  world.server.AddRuntimeClass(world.Class());
  const auto endpoint =
      world.server.account("system:serviceaccount:default:validator", {{"nodes", {"get"}}});
  const Report report = world.Look(endpoint, "gpu-7");
  CHECK(StateOf(report, "RC-HANDLER") == State::kUnknown);
  CHECK_THAT(SeenOf(report, "RC-HANDLER"),
             Contains("cannot list resource \"runtimeclasses\" in API group \"node.k8s.io\""));
  for (const char* id : {"RC-SELECT", "RC-OVERHEAD", "RC-STALE"}) {
    CHECK(StateOf(report, id) == State::kUnknown);
    CHECK_THAT(SeenOf(report, id), Contains("RC-HANDLER"));
  }
  CHECK(StateOf(report, "API-VER") == State::kPass);
  CHECK(StateOf(report, "LABEL-READY") == State::kPass);
  CHECK(VerdictOf(report) == Verdict::kDegraded);
}

TEST_CASE("amounts of what comes in pieces") {
  CHECK(ParsePieces("0") == 0);
  CHECK(ParsePieces("509") == 509);
  CHECK(ParsePieces("2k") == 2000);
  CHECK(ParsePieces("1Ki") == 1024);
  CHECK(ParsePieces("3M") == 3000000);
  for (const char* wrong : {"", "k", "1.5k", "500m", "-1", "1KI", "1 k", "99999999999999999999",
                            "18446744073709551615k"}) {
    CAPTURE(wrong);
    CHECK(ParsePieces(wrong) == std::nullopt);
  }
}
