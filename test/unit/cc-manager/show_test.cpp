// SPDX-License-Identifier: Apache-2.0
//
// What the cluster is told, and that nothing of its administrators' is overwritten.
#include <catch2/catch.hpp>

#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

const std::string kToken = "paused-for-cc-mode-change";

// A webhook that takes some labels out of every patch, and answers as if nothing were amiss.
class Webhook : public kube::HttpClient {
 public:
  Webhook(std::unique_ptr<kube::HttpClient> inner, const bool& at_work)
      : inner_(std::move(inner)), at_work_(at_work) {}
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override {
    if (request.method != "PATCH" || !at_work_) return inner_->Stream(endpoint, request, sink);
    return inner_->Stream(endpoint, {.path = request.path}, sink);
  }

 private:
  std::unique_ptr<kube::HttpClient> inner_;
  const bool& at_work_;
};

// Somebody else writes to the node between our look and our patch.
class Meanwhile : public kube::HttpClient {
 public:
  Meanwhile(std::unique_ptr<kube::HttpClient> inner, std::function<void()> event)
      : inner_(std::move(inner)), event_(std::move(event)) {}
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override {
    if (request.method == "PATCH") event_();
    return inner_->Stream(endpoint, request, sink);
  }

 private:
  std::unique_ptr<kube::HttpClient> inner_;
  std::function<void()> event_;
};

}  // namespace

TEST_CASE("an answer of success without the labels is not taken for success") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}, {"nvidia.com/cc.ready.state", "false"}});
  bool at_work = true;
  world.Restart(nullptr, [&](std::unique_ptr<kube::HttpClient> inner) {
    return std::make_unique<Webhook>(std::move(inner), at_work);
  });
  world.wakeup.Pass(2);
  world.wakeup.Then([&] {
    CHECK(world.Document().reason.find("webhook") != std::string::npos);
    CHECK(world.Resets() == 0);
    at_work = false;
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.ReadyState() == "true");
}

TEST_CASE("a deploy label is never made of what was heard before its administrator changed it") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}, {kVfio, kToken}});
  world.node->Follow();
  while (!world.node->Seen().ok()) {
    REQUIRE(service::WaitReadable({world.node->fd()}, std::chrono::seconds(60))[0]);
    world.node->Drain();
  }
  world.server->AwaitWatch();
  world.server->AddFault({.match = "watch=true", .times = 1000000, .code = 503});
  world.server->AddFault({.match = "/api/v1/nodes?", .times = 1000000, .code = 503});
  world.server->CutWatches();
  world.server->SetLabels("n", {{kVfio, "false"}});
  REQUIRE(world.node->Seen()->labels.at(kVfio) == kToken);  // not heard of
  CHECK(world.Settle().status.ok());
  CHECK(world.Label(kVfio) == "false");
  CHECK(world.ModeState() == "off");
}

TEST_CASE("a deploy label that is changed in the last moment is left as it then is") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}, {kVfio, kToken}});
  int times = 0;
  world.Restart(nullptr, [&](std::unique_ptr<kube::HttpClient> inner) {
    return std::make_unique<Meanwhile>(std::move(inner), [&] {
      if (++times == 1) world.server->SetLabels("n", {{kVfio, "false"}});
    });
  });
  CHECK(world.Settle().status.ok());
  CHECK(world.Label(kVfio) == "false");
  CHECK(world.ModeState() == "off");
  CHECK(times == 2);
}

TEST_CASE("a node that others write to without end does not keep us in a loop") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}, {kVfio, kToken}});
  int times = 0;
  world.Restart(nullptr, [&](std::unique_ptr<kube::HttpClient> inner) {
    return std::make_unique<Meanwhile>(std::move(inner), [&] {
      world.server->SetLabels("n", {{"zone", std::to_string(++times)}});
    });
  });
  CHECK(absl::IsAborted(world.Settle().status));
  CHECK(times <= 5);
}
