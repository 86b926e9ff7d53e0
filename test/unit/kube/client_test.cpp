// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/client.h"

#include <catch2/catch.hpp>

#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;
using apiserver::Fault;
using Catch::Matchers::Contains;

namespace {

struct World {
  World() { server.AddNode("n", {{"nvidia.com/cc.mode", "on"}, {"zone", "a"}}); }

  apiserver::ScriptedApiServer server;
  kube::CurlClient http;
  kube::Client client{http, [this] { return server.admin(); }};
};

// Keeps the request and answers nothing.
struct Recorder : kube::HttpClient {
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint&, const kube::Request& request,
                                        const kube::BodySink&) override {
    last = request;
    return kube::Response{.code = 200};
  }
  kube::Request last;
};

}  // namespace

TEST_CASE("a watch is bounded in time and in silence") {
  Recorder http;
  kube::Client client(http, [] { return kube::Endpoint{.server = "https://h"}; });
  const auto ignore = [](const kube::NodeEvent&) { return absl::OkStatus(); };
  REQUIRE(client.WatchNode("n", "7", std::chrono::minutes(5), ignore).ok());
  CHECK(http.last.idle == kube::kWatchIdle);
  CHECK(http.last.limit == std::chrono::seconds(330));
}

TEST_CASE("labels are read, set and removed, and no others touched") {
  World world;
  const auto before = world.client.GetNode("n");
  REQUIRE(before.ok());
  CHECK(before->labels == kube::Labels{{"nvidia.com/cc.mode", "on"}, {"zone", "a"}});

  const auto after = world.client.PatchNodeLabels(
      "n", {{"nvidia.com/a", "1"}, {"nvidia.com/cc.mode", {}}, {"nvidia.com/b", ""}});
  REQUIRE(after.ok());
  CHECK(after->labels == kube::Labels{{"zone", "a"}, {"nvidia.com/a", "1"}, {"nvidia.com/b", ""}});
  CHECK(after->labels == world.server.LabelsOf("n"));
  CHECK(after->resource_version != before->resource_version);
}

TEST_CASE("each refusal has its code and says what is to be done") {
  World world;
  CHECK(absl::IsNotFound(world.client.GetNode("m").status()));
  CHECK(absl::IsInvalidArgument(world.client.GetNode("../secrets").status()));
  CHECK(absl::IsInvalidArgument(world.client.GetNode("").status()));

  kube::Client stranger(world.http, [&] { return world.server.stranger(); });
  const auto denied = stranger.PatchNodeLabels("n", {{"nvidia.com/a", "1"}}).status();
  CHECK(absl::IsPermissionDenied(denied));
  CHECK_THAT(Text(denied), Contains("cannot patch resource \"nodes\"") && Contains("grant"));

  world.server.Refuse(1, 429, 7);
  CHECK(absl::IsUnavailable(world.client.GetNode("n").status()));
  world.server.Refuse(1, 503);
  CHECK(absl::IsUnavailable(world.client.GetNode("n").status()));
  world.server.CutOff(1);
  CHECK(absl::IsUnavailable(world.client.GetNode("n").status()));
  CHECK(world.client.GetNode("n").ok());
}

TEST_CASE("a policy's refusal is told as one, not as an error of ours") {
  World world;
  // ValidatingAdmissionPolicy of Kubernetes 1.37.2 without `reason`, and an admission webhook.
  for (const auto& [code, text] :
       {std::pair(422,
                  "nodes \"n\" is forbidden: ValidatingAdmissionPolicy 'v' with binding 'b' "
                  "denied request: not on Mondays"),
        std::pair(400, "admission webhook \"w\" denied the request: no")}) {
    world.server.AddFault({.match = "PATCH", .code = code, .text = text});
    const auto status = world.client.PatchNodeLabels("n", {{"nvidia.com/a", "1"}}).status();
    CHECK(absl::IsPermissionDenied(status));
    CHECK_THAT(Text(status), Contains("admission policy") && !Contains("error of gpuhost"));
  }
  world.server.AddFault({.match = "PATCH", .code = 422, .text = "metadata.labels: Invalid value"});
  CHECK(absl::IsInternal(world.client.PatchNodeLabels("n", {{"nvidia.com/a", "1"}}).status()));
}

TEST_CASE("a patch may demand that nobody has changed the node since") {
  World world;
  const auto before = world.client.GetNode("n");
  REQUIRE(before.ok());
  world.server.SetLabels("n", {{"zone", "b"}});
  const kube::NodePatch patch{.labels = {{"nvidia.com/a", "1"}},
                              .annotations = {},
                              .resource_version = before->resource_version};
  CHECK(absl::IsAborted(world.client.PatchNode("n", patch).status()));
  CHECK_FALSE(world.server.LabelsOf("n").contains("nvidia.com/a"));
}

TEST_CASE("Retry-After comes with the answer") {
  World world;
  world.server.Refuse(1, 429, 7);
  const auto response = world.http.Send(world.server.admin(), {.path = "/api/v1/nodes/n"});
  REQUIRE(response.ok());
  CHECK(response->code == 429);
  CHECK(response->retry_after == std::chrono::seconds(7));
}

TEST_CASE("a rotated token is used with the next request") {
  World world;
  const kube::Endpoint old = world.server.admin();
  kube::Client with_old(world.http, [&] { return old; });
  CHECK(with_old.GetNode("n").ok());
  world.server.RenewToken();
  CHECK(absl::IsUnauthenticated(with_old.GetNode("n").status()));
  CHECK(world.client.GetNode("n").ok());
}

TEST_CASE("a token that is refused is read again, and the request sent again if it is another") {
  World world;
  kube::Endpoint kept = world.server.admin();
  int refused = 0;
  kube::Client client(
      world.http, [&] { return kept; },
      [&] {
        ++refused;
        kept = world.server.admin();
      });
  CHECK(client.GetNode("n").ok());
  CHECK(refused == 0);
  world.server.RenewToken();
  CHECK(client.GetNode("n").ok());
  CHECK(refused == 1);
  CHECK(world.server.requests().size() == 3);
  // The same token once more: it is not the token.
  world.server.Refuse(1, 401);
  CHECK(absl::IsUnauthenticated(client.GetNode("n").status()));
  CHECK(world.server.requests().size() == 4);
}

TEST_CASE("labels and annotations change in one patch, and only keys of ours") {
  World world;
  const auto node = world.client.PatchNode(
      "n",
      {.labels = {{"nvidia.com/a", "1"}}, .annotations = {{"nvidia.com/why", "a = b; \"c\""}}});
  REQUIRE(node.ok());
  CHECK(node->annotations == kube::Labels{{"nvidia.com/why", "a = b; \"c\""}});
  CHECK(world.server.AnnotationsOf("n") == node->annotations);
  REQUIRE(world.server.patches().size() == 1);
  CHECK(world.server.patches()[0].body.find("resourceVersion") == std::string::npos);
  CHECK(
      world.client.PatchNode("n", {.annotations = {{"nvidia.com/why", {}}}})->annotations.empty());

  const size_t before = world.server.requests().size();
  for (const char* key :
       {"", "zone", "nvidia.com", "nvidia.com/", "nvidia.com/a/b", "nvidia.com/-a",
        "nvidia.com.evil/a", "Nvidia.com/a", "nvidia.com/a\n", "nvidia.com/\xff"}) {
    CAPTURE(key);
    CHECK(absl::IsInvalidArgument(world.client.PatchNodeLabels("n", {{key, "1"}}).status()));
    CHECK(absl::IsInvalidArgument(
        world.client.PatchNode("n", {.annotations = {{key, "1"}}}).status()));
  }
  CHECK(!world.client.PatchNodeLabels("n", {{"nvidia.com/" + std::string(64, 'a'), ""}}).ok());
  CHECK(world.server.requests().size() == before);
}

TEST_CASE("a value that is not UTF-8, or no label's, is refused and changes nothing") {
  World world;
  for (const auto& value : {std::string("\xff\xfe"), std::string("a b"), std::string(64, 'a'),
                            std::string("a\0b", 3), std::string("\"}}")}) {
    CAPTURE(value);
    CHECK(!world.client.PatchNodeLabels("n", {{"nvidia.com/a", value}}).ok());
  }
  CHECK(!world.server.LabelsOf("n").contains("nvidia.com/a"));
}

TEST_CASE("answers without an end and silence have an end here") {
  World world;
  world.server.AddFault({.kind = Fault::Kind::kEndless, .times = 2});
  CHECK(absl::IsResourceExhausted(world.client.GetNode("n").status()));
  const auto ignore = [](const kube::NodeEvent&) { return absl::OkStatus(); };
  const auto watch = world.client.WatchNode("n", "1", std::chrono::seconds(300), ignore);
  CHECK(absl::IsResourceExhausted(watch));
  CHECK_THAT(Text(watch), Contains("line of the watch"));

  world.server.AddFault({.kind = Fault::Kind::kHang});
  const auto silent = world.http.Send(
      world.server.admin(), {.path = "/api/v1/nodes/n", .idle = std::chrono::milliseconds(200)});
  CHECK(absl::IsUnavailable(silent.status()));
  CHECK_THAT(Text(silent.status()), Contains("said nothing"));
  world.server.Release();
}

TEST_CASE("a refusal of any size and shape makes a text of bounded size") {
  World world;
  const std::string huge(1 << 20, 'x');
  world.server.AddFault({.code = 500, .text = huge});
  CHECK(Text(world.client.GetNode("n").status()).size() < 2000);
  for (const char* body : {"", "[]", "\"x\"", "{\"kind\":\"Status\",\"details\":[1]}", "\xff",
                           R"({"kind":"Status","details":{"causes":[1,{"reason":1}]}})"}) {
    CAPTURE(body);
    world.server.AddFault({.kind = Fault::Kind::kText, .code = 429, .text = body});
    CHECK(absl::IsUnavailable(world.client.GetNode("n").status()));
  }
}

TEST_CASE("an outage ends for a client that asks again") {
  World world;
  for (const auto outage : {apiserver::Outage::kCut, apiserver::Outage::kRefused}) {
    world.server.SetOutage(outage);
    CHECK(absl::IsUnavailable(world.client.GetNode("n").status()));
    world.server.SetOutage(apiserver::Outage::kNone);
    CHECK(world.client.GetNode("n").ok());
  }
}

TEST_CASE("the server must prove who it is") {
  World world;
  kube::Endpoint endpoint = world.server.admin();
  const auto get = [&] { return world.http.Send(endpoint, {.path = "/api/v1/nodes/n"}).status(); };
  endpoint.server_name = "scripted";
  CHECK(get().ok());
  endpoint.server_name = "somebody-else";
  CHECK(absl::IsFailedPrecondition(get()));
  endpoint.server_name.clear();
  endpoint.ca_pem.clear();
  CHECK(absl::IsFailedPrecondition(get()));
  endpoint.ca_pem = "no certificate";
  CHECK(absl::IsFailedPrecondition(get()));
}

TEST_CASE("nobody there, or nobody who speaks Kubernetes") {
  World world;
  kube::Endpoint nobody = world.server.admin();
  nobody.server = "https://127.0.0.1:1";
  CHECK(absl::IsUnavailable(world.http.Send(nobody, {.path = "/"}).status()));
  nobody.server = "http://127.0.0.1:1";
  CHECK(absl::IsInvalidArgument(world.http.Send(nobody, {.path = "/"}).status()));

  for (const char* body :
       {"", "[]", "{}", "null", R"({"kind":"Node"})", R"({"kind":"Pod","metadata":{"name":"x"}})",
        R"({"kind":"Node","metadata":[]})"}) {
    CAPTURE(body);
    CHECK(absl::IsDataLoss(kube::ParseNode(body).status()));
  }
  const auto odd =
      kube::ParseNode(R"({"kind":"Node","metadata":{"name":"x","labels":{"a":1,"b":"2"}}})");
  REQUIRE(odd.ok());
  CHECK(odd->labels == kube::Labels{{"b", "2"}});
}

TEST_CASE("names of nodes") {
  CHECK(kube::CheckNodeName("gpu-1.example.org").ok());
  for (const char* name : {"", "-a", "a.", "A", "a_b", "a/b", "a b", "\xc3\xa4"}) {
    CAPTURE(name);
    CHECK(absl::IsInvalidArgument(kube::CheckNodeName(name)));
  }
  CHECK(!kube::CheckNodeName(std::string(254, 'a')).ok());
}
