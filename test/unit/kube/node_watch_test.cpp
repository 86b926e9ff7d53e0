// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/node_watch.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <thread>

#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;

namespace {

// A watch in a thread of its own, against the scripted API server; pauses pass at once.
class Following {
 public:
  explicit Following(apiserver::ScriptedApiServer& server)
      : watch_(kube::Client(http_, [&server] { return server.admin(); }), "n", clock_, 1,
               {.on_node = [this](const auto& node) { OnNode(node); },
                .on_error = [this](const absl::Status& status) { OnError(status); },
                .pause = [this](Duration pause) { return Pause(pause); }}),
        thread_([this] { watch_.Follow(); }) {}
  ~Following() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  // Waits until the label is seen with this value; "absent" for a node that is not there.
  bool Sees(const std::string& value) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return last_ == value; });
  }
  // Waits for so many errors of this class.
  bool SeesErrors(absl::StatusCode code, int count = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return std::ranges::count(errors_, code, &absl::Status::code) >= count;
    });
  }
  std::vector<Duration> pauses() {
    const std::lock_guard lock(mutex_);
    return pauses_;
  }

 private:
  void OnNode(const std::optional<kube::Node>& node) {
    const std::lock_guard lock(mutex_);
    last_ = !node                                   ? "absent"
            : node->labels.contains("nvidia.com/x") ? node->labels.at("nvidia.com/x")
                                                    : "";
    changed_.notify_all();
  }
  void OnError(const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(status);
    changed_.notify_all();
  }
  bool Pause(Duration pause) {
    const std::lock_guard lock(mutex_);
    pauses_.push_back(pause);
    return true;
  }

  UniqueFd stop_{::eventfd(0, EFD_CLOEXEC)};
  kube::CurlClient http_{stop_.get()};
  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string last_ = "nothing yet";
  std::vector<absl::Status> errors_;
  std::vector<Duration> pauses_;
  kube::NodeWatch watch_;
  std::thread thread_;
};

struct World {
  World() { server.AddNode("n", {{"nvidia.com/x", "1"}}); }
  void Set(const std::string& value) {
    kube::CurlClient http;
    kube::Client client(http, [this] { return server.admin(); });
    REQUIRE(client.PatchNodeLabels("n", {{"nvidia.com/x", value}}).ok());
  }
  size_t Lists() const {
    size_t count = 0;
    for (const std::string& request : server.requests()) {
      if (request.find("fieldSelector") != std::string::npos &&
          request.find("watch") == std::string::npos) {
        ++count;
      }
    }
    return count;
  }
  apiserver::ScriptedApiServer server;
};

}  // namespace

TEST_CASE("a quiet watch ends as soon as the process is to end") {
  World world;
  Following following(world.server);
  CHECK(following.Sees("1"));
}

TEST_CASE("changes of the node arrive, also its end and its return") {
  World world;
  world.server.AddNode("other");
  Following following(world.server);
  CHECK(following.Sees("1"));
  world.Set("2");
  CHECK(following.Sees("2"));
  world.server.DeleteNode("n");
  CHECK(following.Sees("absent"));
  world.server.AddNode("n", {{"nvidia.com/x", "3"}});
  CHECK(following.Sees("3"));
  CHECK(world.Lists() == 1);
}

TEST_CASE("a cut watch begins anew with a list") {
  World world;
  Following following(world.server);
  CHECK(following.Sees("1"));
  world.server.AwaitWatch();
  world.server.CutWatches();
  world.Set("2");
  CHECK(following.Sees("2"));
  CHECK(world.Lists() >= 2);
  CHECK(following.pauses().size() >= 1);  // no loop without a wait
}

// API server 1.37.2 over etcd 3.4 and 3.7: a watch from a version that is ahead is accepted, and
// says nothing of what changes meanwhile.
TEST_CASE("the node is followed after etcd has come back from a backup") {
  World world;
  Following following(world.server);
  CHECK(following.Sees("1"));
  world.server.AwaitWatch();
  world.server.TakeBackup();
  for (int i = 0; i < 30; ++i) world.Set("later-" + std::to_string(i));
  CHECK(following.Sees("later-29"));
  world.server.RestoreBackup();
  world.server.CutWatches();
  CHECK(following.Sees("1"));
  world.Set("2");
  CHECK(following.Sees("2"));
}

TEST_CASE("a version that is too old makes it list again") {
  World world;
  Following following(world.server);
  CHECK(following.Sees("1"));
  world.server.AwaitWatch();
  SECTION("told within the stream") {
    world.server.ForgetAll();
    CHECK(following.SeesErrors(absl::StatusCode::kOutOfRange));
  }
  SECTION("told by HTTP") {
    world.server.Refuse(1, 410);
    world.server.CutWatches();
    CHECK(following.SeesErrors(absl::StatusCode::kOutOfRange));
  }
  world.Set("2");
  CHECK(following.Sees("2"));
  CHECK(world.Lists() >= 2);
}

TEST_CASE("refusals are waited for, as long as the server asks for, and got over") {
  World world;
  world.server.Refuse(1, 429, 7);
  Following following(world.server);
  CHECK(following.Sees("1"));
  CHECK(following.pauses().at(0) >= std::chrono::seconds(7));
  CHECK(following.pauses().at(0) <= std::chrono::milliseconds(10'500));
  world.server.AwaitWatch();
  world.server.Refuse(3, 500);
  world.server.CutWatches();
  CHECK(following.SeesErrors(absl::StatusCode::kUnavailable, 4));
  world.server.RenewToken();
  world.Set("2");
  CHECK(following.Sees("2"));
  const auto pauses = following.pauses();
  for (size_t i = 1; i < pauses.size(); ++i) CHECK(pauses[i] <= std::chrono::seconds(30));
}

TEST_CASE("pauses grow, within bounds, and not in step") {
  kube::Backoff one(std::chrono::seconds(1), std::chrono::seconds(30), 1);
  kube::Backoff two(std::chrono::seconds(1), std::chrono::seconds(30), 2);
  Duration whole = std::chrono::seconds(1);
  bool differs = false;
  for (int i = 0; i < 10; ++i) {
    const Duration pause = one.Next();
    CHECK(pause >= whole / 2);
    CHECK(pause <= whole);
    differs = differs || pause != two.Next();
    whole = std::min<Duration>(2 * whole, std::chrono::seconds(30));
  }
  CHECK(differs);
  one.Reset();
  CHECK(one.Next() <= std::chrono::seconds(1));
}

TEST_CASE("what a server asks for is believed within bounds, and not in step") {
  using std::chrono::seconds;
  kube::Backoff one(seconds(1), seconds(30), 1), two(seconds(1), seconds(30), 2);
  bool differs = false;
  for (const Duration asked :
       {Duration(seconds(3600)), Duration(seconds(86400)), Duration::max()}) {
    const Duration pause = one.Next(asked);
    CHECK(pause >= kube::Backoff::kLongestAsked);
    CHECK(pause <= kube::Backoff::kLongestAsked * 3 / 2);
    differs = differs || pause != two.Next(asked);
  }
  CHECK(differs);
  CHECK(one.Next(Duration(seconds(-5))) == Duration::zero());
  CHECK(one.Next(std::nullopt) <= seconds(1));
}

TEST_CASE("a load balancer that asks for an hour is not obeyed for one") {
  World world;
  world.server.Refuse(1, 429, 3600);
  Following following(world.server);
  CHECK(following.Sees("1"));
  CHECK(following.pauses().at(0) <= kube::Backoff::kLongestAsked * 3 / 2);
}

TEST_CASE("what is no watch event is an error, not a crash") {
  for (const char* line :
       {"", "{", "[]", "{}", R"({"type":"MODIFIED"})",
        R"({"type":"MODIFIED","object":{"metadata":{"name":"n"}}})",
        R"({"type":"LATER","object":{"metadata":{"name":"n","resourceVersion":"1"}}})",
        R"({"type":"BOOKMARK","object":{}})"}) {
    CAPTURE(line);
    CHECK(absl::IsDataLoss(kube::ParseWatchLine(line).status()));
  }
  CHECK(absl::IsUnavailable(
      kube::ParseWatchLine(R"({"type":"ERROR","object":{"code":500}})").status()));
  CHECK(absl::IsOutOfRange(
      kube::ParseWatchLine(R"({"type":"ERROR","object":{"code":410}})").status()));
}
