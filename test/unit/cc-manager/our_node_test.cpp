// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/our_node.h"

#include <catch2/catch.hpp>

#include "daemons/common/service/signals.h"
#include "test/unit/cc-manager/node_world.h"

namespace gpuhost::cc_manager {
namespace {

// Answers come late: what `meanwhile` does has happened when they arrive.
class LateAnswers : public kube::HttpClient {
 public:
  LateAnswers(std::unique_ptr<kube::HttpClient> inner, std::function<void()> meanwhile)
      : inner_(std::move(inner)), meanwhile_(std::move(meanwhile)) {}

  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override {
    auto answer = inner_->Stream(endpoint, request, sink);
    if (request.method == "PATCH") meanwhile_();
    return answer;
  }

 private:
  std::unique_ptr<kube::HttpClient> inner_;
  std::function<void()> meanwhile_;
};

std::string ModeSeen(OurNode& node) {
  const auto seen = node.Seen();
  if (!seen.ok() || !seen->labels.contains(kMode)) return "";
  return seen->labels.at(kMode);
}

void AwaitModeSeen(OurNode& node, const std::string& mode) {
  while (ModeSeen(node) != mode) {
    REQUIRE(service::WaitReadable({node.fd()}, std::chrono::seconds(60))[0]);
    node.Drain();
  }
}

}  // namespace

TEST_CASE("the answer to a patch does not hide what the watch has told since") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.Restart(nullptr, [&](std::unique_ptr<kube::HttpClient> inner) {
    return std::make_unique<LateAnswers>(std::move(inner), [&] {
      world.SetMode("off");
      AwaitModeSeen(*world.node, "off");
    });
  });
  world.node->Follow();
  AwaitModeSeen(*world.node, "on");
  REQUIRE(world.node->Patch({.labels = {{"nvidia.com/cc.mode.state", "on"}}}).ok());
  CHECK(world.ModeState() == "on");
  CHECK(ModeSeen(*world.node) == "off");
}

}  // namespace gpuhost::cc_manager
