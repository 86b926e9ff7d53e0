// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/node_labels.h"

#include <absl/strings/escaping.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);
const Labels kAgreed{{"nvidia.com/cc.mode", "on"}, {"nvidia.com/cc.mode.state", "on"}};
const Labels kUnderWay{{"nvidia.com/cc.mode", "on"}, {"nvidia.com/cc.mode.state", "off"}};

// Answers in their order, the last for ever; waits for what was heard.
class Node {
 public:
  explicit Node(std::vector<absl::StatusOr<Labels>> answers) : answers_(std::move(answers)) {}

  NodeLabels::Settings Settings(Duration patience = Duration::zero()) {
    return {.ask = [this] { return Answer(); },
            .changed =
                [this] {
                  const std::lock_guard lock(mutex_);
                  ++changes_;
                  changed_.notify_all();
                },
            .interval = std::chrono::milliseconds(1),
            .patience = patience};
  }
  bool HeardOf(int changes) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kGenerous, [&] { return changes_ >= changes; });
  }

 private:
  absl::StatusOr<Labels> Answer() {
    const std::lock_guard lock(mutex_);
    // The next is given once the one before was looked at.
    const auto index = std::min<size_t>(static_cast<size_t>(changes_), answers_.size() - 1);
    return answers_[index];
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  const std::vector<absl::StatusOr<Labels>> answers_;
};

std::string Kubeconfig(const kube::Endpoint& endpoint) {
  return fmt::format(R"(
current-context: a
contexts: [{{name: a, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{}", certificate-authority-data: {}}}}}]
users: [{{name: u, user: {{token: {}}}}}]
)",
                     endpoint.server, absl::Base64Escape(endpoint.ca_pem), endpoint.token);
}

}  // namespace

TEST_CASE("devices are held back until mode and state agree") {
  const auto held = [](const Labels& labels) { return WhyHeldBack(labels); };
  CHECK(held({}).empty());
  CHECK(held(kAgreed).empty());
  CHECK_THAT(held(kUnderWay), Contains("nvidia.com/cc.mode is 'on'") &&
                                  Contains("nvidia.com/cc.mode.state is 'off'"));
  CHECK_THAT(held({{"nvidia.com/cc.mode", "off"}}), Contains("state is ''"));
  CHECK_THAT(held({{"nvidia.com/cc.mode.state", "failed"}}), Contains("is failed"));
  CHECK_THAT(held({{"nvidia.com/cc.mode", "failed"}, {"nvidia.com/cc.mode.state", "failed"}}),
             Contains("is failed"));
  // Without a wish the node has its default mode, whatever that is.
  CHECK(held({{"nvidia.com/cc.mode.state", "devtools"}}).empty());
  CHECK(held({{"nvidia.com/cc.mode", ""}, {"nvidia.com/cc.mode.state", "on"}}).empty());
}

TEST_CASE("a node that is to have a cc-manager waits for its first word") {
  const std::string deploy = "nvidia.com/gpu.deploy.cc-manager";
  CHECK_THAT(WhyHeldBack({{deploy, "true"}}), Contains("no label nvidia.com/cc.mode.state yet"));
  CHECK(WhyHeldBack({{deploy, "false"}}).empty());
  CHECK(WhyHeldBack({{deploy, "true"}, {"nvidia.com/cc.mode.state", "off"}}).empty());
}

TEST_CASE("a plugin that is paused gives nothing away") {
  for (const char* key : {"nvidia.com/gpu.deploy.kata-sandbox-device-plugin",
                          "nvidia.com/gpu.deploy.sandbox-device-plugin"}) {
    Labels labels = kAgreed;
    labels[key] = "true";
    CHECK(WhyHeldBack(labels).empty());
    labels[key] = "paused-for-cc-mode-change";
    CHECK_THAT(WhyHeldBack(labels), Contains(std::string(key) + " is paused-for-cc-mode-change"));
    labels[key] = "custom_paused-for-cc-mode-change";  // of a node that had another value
    CHECK_THAT(WhyHeldBack(labels), Contains(std::string(key) + " is custom_paused-for-"));
  }
}

TEST_CASE("what was heard stays in force while nothing is heard") {
  const absl::Status away = absl::UnavailableError("connection refused");
  Node node({away, kUnderWay, kAgreed, away});
  NodeLabels labels(node.Settings());
  const TimePoint now{};
  REQUIRE(node.HeardOf(4));
  CHECK(labels.HeldBack(now).empty());
}

TEST_CASE("before anything was heard devices are held back, for ever or for a while") {
  Node node({absl::UnavailableError("connection refused")});
  NodeLabels labels(node.Settings()), limited(node.Settings(std::chrono::minutes(5)));
  REQUIRE(node.HeardOf(2));
  const TimePoint start{}, end = start + std::chrono::minutes(5);
  for (const TimePoint now : {start, end, end + std::chrono::hours(100)}) {
    CHECK_THAT(labels.HeldBack(now), Contains("not known yet: connection refused"));
  }
  CHECK_FALSE(limited.HeldBack(start).empty());
  CHECK_FALSE(limited.HeldBack(end - std::chrono::seconds(1)).empty());
  CHECK(limited.HeldBack(end).empty());
}

TEST_CASE("what is no labels is refused") {
  CHECK(*ParseLabels("{\"nvidia.com/cc.mode\": \"on\"}\n") == Labels{{"nvidia.com/cc.mode", "on"}});
  CHECK(ParseLabels("{}")->empty());
  for (const char* text : {"", "[]", "{\"a\": 1}", "{\"a\": null}", "{\"a\": \"b\"", "null"}) {
    CAPTURE(text);
    CHECK(absl::IsDataLoss(ParseLabels(text).status()));
  }
}

TEST_CASE("the program asks the API server, with the right to get nodes and no other") {
  apiserver::ScriptedApiServer server;
  server.AddNode("n", {{"nvidia.com/cc.mode", "on"}, {"zone", "a"}});
  fake::TempRoot root;
  const auto ask = [&](const kube::Endpoint& endpoint, const std::string& name) {
    root.File("/kubeconfig", Kubeconfig(endpoint));
    return OutputOf(kGenerous,
                    {.path = NODE_LABELS_PROGRAM,
                     .arguments = {name, "--kubeconfig", root.Of("/kubeconfig").string()},
                     .environment = {"ASAN_OPTIONS=detect_leaks=0"}});
  };
  const auto plugin = server.account("system:serviceaccount:gpu-operator:plugin",
                                     {{.resource = "nodes", .verbs = {"get"}}});
  const auto text = ask(plugin, "n");
  REQUIRE(text.ok());
  CHECK(*ParseLabels(*text) == Labels{{"nvidia.com/cc.mode", "on"}});

  CHECK_THAT(Text(ask(server.stranger(), "n").status()), Contains("cannot get resource \"nodes\""));
  CHECK_THAT(Text(ask(plugin, "m").status()), Contains("\"m\" not found"));
  CHECK_THAT(Text(ask(plugin, "../n").status()), Contains("../n"));
}
