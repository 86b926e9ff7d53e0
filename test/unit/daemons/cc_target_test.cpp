// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "daemons/cc-manager/labels.h"
#include "daemons/cc-manager/run.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/service/exit_code.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;

namespace {

struct World {
  explicit World(int gpus, const std::map<std::string, std::string>& labels = {}) : machine(gpus) {
    server.AddNode("n", labels);
  }
  int Run(Mode fallback = Mode::kOn) {
    kube::Client client(http, [this] { return server.admin(); });
    cc_manager::NodeTarget target(std::move(client), "n", fallback);
    return cc_manager::RunOnce(machine.host(), target, /*force=*/false, machine.clock.Now());
  }
  std::string Label(const char* name) const {
    const auto labels = server.LabelsOf("n");
    const auto label = labels.find(name);
    return label == labels.end() ? "absent" : label->second;
  }
  std::string State() const { return Label("nvidia.com/cc.mode.state"); }
  std::string Ready() const { return Label("nvidia.com/cc.ready.state"); }

  fake::Machine machine;
  apiserver::ScriptedApiServer server;
  kube::CurlClient http;
};

}  // namespace

TEST_CASE("the label wins over the default, an empty one counts as none") {
  CHECK(*cc_manager::WantedMode({}, Mode::kOn) == Mode::kOn);
  CHECK(*cc_manager::WantedMode({{"nvidia.com/cc.mode", ""}}, Mode::kDevtools) == Mode::kDevtools);
  CHECK(*cc_manager::WantedMode({{"nvidia.com/cc.mode", "off"}}, Mode::kOn) == Mode::kOff);
  CHECK(*cc_manager::WantedMode({{"nvidia.com/cc.mode", "ppcie"}}, Mode::kOn) == Mode::kPpcie);
  const auto bad = cc_manager::WantedMode({{"nvidia.com/cc.mode", "On"}}, Mode::kOn);
  CHECK(absl::IsInvalidArgument(bad.status()));
}

TEST_CASE("the state labels are those that Kata's RuntimeClasses select by") {
  const auto labels = [](std::optional<Mode> reached) {
    const auto patch = cc_manager::StateLabels(reached);
    return *patch.at("nvidia.com/cc.mode.state") + "/" + *patch.at("nvidia.com/cc.ready.state");
  };
  CHECK(labels(Mode::kOn) == "on/true");
  CHECK(labels(Mode::kPpcie) == "ppcie/true");
  CHECK(labels(Mode::kOff) == "off/false");
  CHECK(labels(Mode::kDevtools) == "devtools/");
  CHECK(labels(std::nullopt) == "failed/");
}

TEST_CASE("the node's label is read, the GPUs switched, the state labels written") {
  World world(2, {{"nvidia.com/cc.mode", "devtools"}, {"zone", "a"}});
  CHECK(world.Run() == service::kDone);
  CHECK((world.machine.gpu(1).mode_word() & 3) == 3);
  CHECK(world.State() == "devtools");
  CHECK(world.Ready() == "");
  CHECK(world.Label("nvidia.com/cc.mode") == "devtools");
  CHECK(world.Label("zone") == "a");
  CHECK(world.server.requests() ==
        std::vector<std::string>{"GET /api/v1/nodes/n", "PATCH /api/v1/nodes/n"});

  World without_label(1);
  CHECK(without_label.Run(Mode::kOn) == service::kDone);
  CHECK(without_label.State() == "on");
  CHECK(without_label.Ready() == "true");
}

TEST_CASE("what is no mode changes nothing and shows as failed") {
  World world(1, {{"nvidia.com/cc.mode", "sometimes"}});
  CHECK(world.Run() == service::kFailed);
  CHECK(world.machine.gpu(0).counters().bar_writes == 0);
  CHECK(world.State() == "failed");
  CHECK(world.Ready() == "");
}

TEST_CASE("a GPU in use refuses, and the node is not told to be ready") {
  World world(2, {{"nvidia.com/cc.mode", "on"}, {"nvidia.com/cc.ready.state", "false"}});
  world.machine.HoldOpen(0, 7, "qemu");
  CHECK(world.Run() == service::kFailed);
  CHECK(world.machine.kernel.writes().empty());
  CHECK(world.State() == "failed");
  CHECK(world.Ready() == "");
}

TEST_CASE("without an answer of the API server no GPU is touched") {
  World world(1, {{"nvidia.com/cc.mode", "on"}});
  for (const int code : {401, 403, 404, 500}) {
    world.server.Refuse(1, code);
    CHECK(world.Run() == service::kFailed);
  }
  CHECK(world.machine.gpu(0).counters().bar_writes == 0);
  CHECK(world.State() == "absent");
}

TEST_CASE("a state that could not be reported is an error, and the next pass reports it") {
  World world(1, {{"nvidia.com/cc.mode", "on"}});
  CHECK(world.Run() == service::kDone);
  world.server.AddNode("n", {{"nvidia.com/cc.mode", "off"}});
  kube::Client stranger(world.http, [&, first = true]() mutable {
    return std::exchange(first, false) ? world.server.admin() : world.server.stranger();
  });
  cc_manager::NodeTarget target(stranger, "n", Mode::kOn);
  CHECK(cc_manager::RunOnce(world.machine.host(), target, false, world.machine.clock.Now()) ==
        service::kFailed);
  CHECK(world.State() == "absent");
  CHECK(world.Run() == service::kDone);
  CHECK(world.State() == "off");
}

TEST_CASE("a node without GPUs gets no state labels") {
  World world(0, {{"nvidia.com/cc.mode", "on"}});
  CHECK(world.Run() == service::kImpossible);
  CHECK(world.State() == "absent");
}

TEST_CASE("without a confidential host the default is off, and a label still counts") {
  World world(1);
  fake::TempRoot own;
  own.File("/ca.crt", world.server.admin().ca_pem);
  own.File("/kubeconfig",
           fmt::format(
               "{{current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}],"
               "clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: ca.crt}}}}],"
               "users: [{{name: u, user: {{token: {}}}}}]}}",
               world.server.admin().server, world.server.admin().token));
  const auto wanted = [&] {
    auto target = cc_manager::MakeTarget(
        world.machine.kernel, world.http,
        {.mode = Mode::kOn, .node_name = "n", .kubeconfig = own.path() + "/kubeconfig"});
    return (*target)->Wanted().value();
  };
  CHECK(wanted() == Mode::kOff);
  world.machine.root.File("/sys/module/kvm_intel/parameters/tdx", "Y\n");
  CHECK(wanted() == Mode::kOn);
  world.machine.root.File("/sys/module/kvm_intel/parameters/tdx", "N\n");
  world.server.AddNode("n", {{"nvidia.com/cc.mode", "devtools"}});
  CHECK(wanted() == Mode::kDevtools);
}

TEST_CASE("a target needs a node's name, or no Kubernetes") {
  World world(1);
  const auto make = [&](const cc_manager::Options& options) {
    return cc_manager::MakeTarget(world.machine.kernel, world.http, options).status();
  };
  CHECK(absl::IsInvalidArgument(make({.node_name = "Bad Name", .kubeconfig = "/x"})));
  CHECK(make({.standalone = true}).ok());
}
