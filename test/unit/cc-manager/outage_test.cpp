// SPDX-License-Identifier: Apache-2.0
//
// The API server refuses, cuts or is gone, at any request of a change and for as long as ten
// minutes; the loop of the daemon gets over it.
#include <catch2/catch.hpp>

#include "daemons/cc-manager/run.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

// What befalls requests number `first` and the next ones.
struct Trouble {
  std::string name;
  int code = 0;       // an answer of this status; 0: none
  bool done = false;  // the server has done what it was asked for, and only the answer is lost
  int requests = 1;
};

class TroubledHttp : public kube::HttpClient {
 public:
  TroubledHttp(std::unique_ptr<kube::HttpClient> http, Trouble trouble, int first)
      : http_(std::move(http)), trouble_(std::move(trouble)), first_(first) {}

  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override {
    const int number = count_++;
    if (number < first_ || number >= first_ + trouble_.requests) {
      return http_->Stream(endpoint, request, sink);
    }
    if (trouble_.done) http_->Stream(endpoint, request, {}).IgnoreError();
    if (trouble_.code == 0) return absl::UnavailableError("connection refused");
    return kube::Response{.code = trouble_.code};
  }
  // Whether the change was over before the trouble began.
  bool Spared() const { return count_ <= first_; }

 private:
  std::unique_ptr<kube::HttpClient> http_;
  Trouble trouble_;
  int first_, count_ = 0;
};

}  // namespace

TEST_CASE("no trouble of the API server at any request keeps a change from its end") {
  const Trouble trouble =
      GENERATE(Trouble{"conflict", 409}, Trouble{"gone", 410}, Trouble{"busy", 429},
               Trouble{"error", 500}, Trouble{"unknown to it", 401, false, 2},
               Trouble{"cut", 0, true}, Trouble{"ten minutes", 0, false, 200});
  for (int first = 0;; ++first) {
    CAPTURE(trouble.name, first);
    REQUIRE(first < 100);
    NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}, {kVfio, "true"}});
    world.server->AddOperand(
        {.node = "n", .label = kVfio, .name_space = "gpu-operator", .app = "nvidia-vfio-manager"});
    TroubledHttp* http = nullptr;
    world.Restart(nullptr, [&](std::unique_ptr<kube::HttpClient> inner) {
      auto troubled = std::make_unique<TroubledHttp>(std::move(inner), trouble, first);
      http = troubled.get();
      return troubled;
    });
    std::atomic<bool> ready = false;
    for (int i = 0; i < 1000; ++i) {
      world.wakeup.Then([&] {
        if (ready) world.wakeup.Stop();
      });
    }
    CHECK(RunDaemon(*world.manager, *world.reporter, world.wakeup, world.machine.clock, ready) ==
          0);
    CHECK_FALSE(world.wakeup.exhausted());
    CHECK(world.AllIn(Mode::kOn));
    CHECK(world.ModeState() == "on");
    CHECK(world.ReadyState() == "true");
    CHECK(world.Label(kVfio) == "true");
    CHECK(world.Resets() == 1);
    if (http->Spared()) break;
  }
}
