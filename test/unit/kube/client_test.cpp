// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/client.h"

#include <catch2/catch.hpp>

#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"

using namespace gpuhost;
using Catch::Matchers::Contains;

namespace {

struct World {
  World() { server.AddNode("n", {{"nvidia.com/cc.mode", "on"}, {"zone", "a"}}); }

  apiserver::ScriptedApiServer server;
  kube::CurlClient http;
  kube::Client client{http, [this] { return server.admin(); }};
};

}  // namespace

TEST_CASE("labels are read, set and removed, and no others touched") {
  World world;
  const auto before = world.client.GetNode("n");
  REQUIRE(before.ok());
  CHECK(before->labels == kube::Labels{{"nvidia.com/cc.mode", "on"}, {"zone", "a"}});

  const auto after = world.client.PatchNodeLabels("n", {{"a", "1"}, {"zone", {}}, {"b", ""}});
  REQUIRE(after.ok());
  CHECK(after->labels == kube::Labels{{"nvidia.com/cc.mode", "on"}, {"a", "1"}, {"b", ""}});
  CHECK(after->labels == world.server.LabelsOf("n"));
  CHECK(after->resource_version != before->resource_version);
}

TEST_CASE("each refusal has its code and says what is to be done") {
  World world;
  CHECK(absl::IsNotFound(world.client.GetNode("m").status()));
  CHECK(absl::IsInvalidArgument(world.client.GetNode("../secrets").status()));
  CHECK(absl::IsInvalidArgument(world.client.GetNode("").status()));

  kube::Client stranger(world.http, [&] { return world.server.stranger(); });
  const auto denied = stranger.PatchNodeLabels("n", {{"a", "1"}}).status();
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
