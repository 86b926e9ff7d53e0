// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;
using Type = kube::NodeNotice::Type;

namespace {

nlohmann::json Parse(const std::string& text) { return nlohmann::json::parse(text); }

}  // namespace

TEST_CASE("an event is put beside the node that it is about") {
  apiserver::ScriptedApiServer server;
  server.AddNode("gpu-1.example.org");
  kube::CurlClient http;
  kube::Client client(http, [&] { return server.admin(); });
  const auto node = client.GetNode("gpu-1.example.org");
  REQUIRE(node.ok());
  CHECK(!node->uid.empty());
  REQUIRE(client
              .CreateEvent(*node,
                           {.type = Type::kWarning,
                            .reason = "CCModeWaits",
                            .message = "pod default/p uses a GPU",
                            .component = "cc-manager"},
                           1'700'000'000)
              .ok());
  REQUIRE(server.events().size() == 1);
  const auto event = Parse(server.events().front());
  CHECK(event["involvedObject"]["kind"] == "Node");
  CHECK(event["involvedObject"]["name"] == "gpu-1.example.org");
  CHECK(event["involvedObject"]["uid"] == node->uid);
  CHECK(event["metadata"]["namespace"] == "default");
  CHECK(event["type"] == "Warning");
  CHECK(event["reason"] == "CCModeWaits");
  CHECK(event["message"] == "pod default/p uses a GPU");
  CHECK(event["source"]["component"] == "cc-manager");
  CHECK(event["firstTimestamp"] == "2023-11-14T22:13:20Z");

  kube::Client operators(http, [&] { return server.cc_manager("gpu-operator"); });
  const auto denied = operators.CreateEvent(*node, {.reason = "X"}, 0);
  CHECK(absl::IsPermissionDenied(denied));
  CHECK_THAT(Text(denied), Catch::Matchers::Contains("cannot create resource \"events\""));
}

TEST_CASE("a message is cut at 1024 bytes and between characters, whatever it holds") {
  const auto message = [](const std::string& text) {
    return Parse(kube::EventOf({.name = "n"}, {.message = text}, 0))["message"].get<std::string>();
  };
  CHECK(message(std::string(1024, 'a')) == std::string(1024, 'a'));
  CHECK(message(std::string(5000, 'a')) == std::string(1024, 'a'));
  std::string umlauts = "a";
  for (int i = 0; i < 1000; ++i) umlauts += "\xc3\xa4";
  CHECK(message(umlauts) == umlauts.substr(0, 1023));
  CHECK(message("bad \xff\xfe text") == "bad \xef\xbf\xbd\xef\xbf\xbd text");
  CHECK(message(std::string("\0\n\"", 3)) == std::string("\0\n\"", 3));
}

TEST_CASE("generated names are valid for every node") {
  for (const auto& [node, prefix] : {std::pair<std::string, std::string>{"n", "n-"},
                                     {std::string(56, 'a') + ".b", std::string(56, 'a') + "-"},
                                     {std::string(253, 'a'), std::string(57, 'a') + "-"}}) {
    const auto event = Parse(kube::EventOf({.name = node}, {}, 0));
    CHECK(event["metadata"]["generateName"] == prefix);
  }
}
