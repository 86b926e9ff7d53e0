// SPDX-License-Identifier: Apache-2.0
//
// Who is given a login, who is led where, and what of it is told to the log.
#include <catch2/catch.hpp>

#include "daemons/kata-manager/artifacts/registry.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

namespace {

// Answers from a list, by server and path without query.
struct Wire : kube::HttpClient {
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink&) override {
    const std::string url = endpoint.server + request.path;
    std::string proof;
    for (const std::string& header : request.headers) {
      if (header.starts_with("Authorization: ")) proof = header.substr(15);
    }
    asked.push_back(url + (proof.empty() ? "" : " with " + proof));
    const auto found = answers.find(url.substr(0, url.find('?')));
    if (found == answers.end()) return absl::InvalidArgumentError("GET " + url + ": no such host");
    kube::Response response = found->second;
    if (response.code == 401 && proof == accepted) response = {.code = 200, .body = "{}"};
    return response;
  }
  bool Asked(const std::string& what) const {
    return std::ranges::any_of(
        asked, [&](const std::string& line) { return line.find(what) != std::string::npos; });
  }

  std::map<std::string, kube::Response> answers;
  std::string accepted = "Basic dTpw";
  std::vector<std::string> asked;
};

kube::Response Wants(const std::string& challenge) {
  return {.code = 401, .body = {}, .headers = {{"www-authenticate", challenge}}};
}
kube::Response LeadsTo(const std::string& where) {
  return {.code = 307, .body = {}, .headers = {{"location", where}}};
}

struct World {
  absl::Status Fetch(const std::string& reference = "r.io/kata/gpu:v1") {
    Registry registry(
        {.http = wire, .clock = clock}, *ParseReference(reference), [&] { return found; },
        settings);
    return registry.FetchManifest("v1").status();
  }

  Wire wire;
  fake::FakeClock clock;
  RegistrySettings settings;
  FoundLogin found{Login{.user = "u", .password = "p", .identity_token = {}}, absl::OkStatus()};
};

constexpr const char* kManifest = "https://r.io/v2/kata/gpu/manifests/v1";
const std::string kToken = R"({"token": "t"})";

}  // namespace

TEST_CASE("a login goes to the registry's own server of tokens, or to one that is listed") {
  World world;
  world.wire.accepted = "Bearer t";
  world.wire.answers[kManifest] = Wants("Bearer realm=\"https://R.io:443/token\",service=\"s\"");
  world.wire.answers["https://r.io/token"] = {.code = 200, .body = kToken};
  CHECK(world.Fetch().ok());
  CHECK(
      world.wire.Asked("https://r.io/token?service=s&scope=repository%3Akata%2Fgpu%3Apull with "
                       "Basic dTpw"));

  const std::string other =
      GENERATE("https://auth.io/token", "https://r.io:5001/token", "https://r.io.evil.io/token");
  world.wire.answers[kManifest] = Wants("Bearer realm=\"" + other + "\"");
  world.wire.answers[other] = {.code = 200, .body = kToken};
  world.wire.asked.clear();
  const absl::Status refused = world.Fetch();
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK_THAT(Text(refused), Contains("is not among registry.tokenHosts"));
  CHECK_FALSE(world.wire.Asked(other));
  world.settings.token_hosts = {"auth.io:443", "r.io:5001", "r.io.evil.io"};
  CHECK(world.Fetch().ok());
}

TEST_CASE("without a login anybody may be asked for a token") {
  World world;
  world.found = {};
  world.wire.accepted = "Bearer t";
  world.wire.answers[kManifest] = Wants("Bearer realm=\"https://auth.io/token\"");
  world.wire.answers["https://auth.io/token"] = {.code = 200, .body = kToken};
  CHECK(world.Fetch().ok());
  // Also where the login is with a helper: the artefact may be open to all.
  world.found.trouble = absl::FailedPreconditionError("with docker-credential-x");
  CHECK(world.Fetch().ok());
  world.wire.answers["https://auth.io/token"] = {.code = 401};
  CHECK_THAT(Text(world.Fetch()), Contains("docker-credential-x"));
}

TEST_CASE("Docker Hub has its server of tokens elsewhere, and many names") {
  World world;
  world.wire.accepted = "Bearer t";
  world.wire.answers["https://registry-1.docker.io/v2/library/x/manifests/v1"] =
      Wants("Bearer realm=\"https://auth.docker.io/token\"");
  world.wire.answers["https://auth.docker.io/token"] = {.code = 200, .body = kToken};
  for (const char* name : {"docker.io/x:v1", "index.docker.io/library/x:v1", "Docker.io/x:v1"}) {
    CAPTURE(name);
    CHECK(world.Fetch(name).ok());
  }
  world.wire.answers[kManifest] = Wants("Bearer realm=\"https://auth.docker.io/token\"");
  CHECK(absl::IsFailedPrecondition(world.Fetch()));  // it is Docker Hub's alone
}

TEST_CASE("a registry without TLS gets a login for itself, and never sends it elsewhere") {
  World world;
  world.wire.accepted = "Bearer t";
  world.settings.plain_http = {"r.io"};
  world.settings.token_hosts = {"auth.io"};
  const std::string manifest = "http://r.io/v2/kata/gpu/manifests/v1";
  world.wire.answers["http://r.io/token"] = {.code = 200, .body = kToken};
  world.wire.answers["https://auth.io/token"] = {.code = 200, .body = kToken};
  world.wire.answers[manifest] = Wants("Bearer realm=\"http://r.io/token\"");
  CHECK(world.Fetch().ok());
  world.wire.answers[manifest] = Wants("Bearer realm=\"https://auth.io/token\"");
  CHECK_THAT(Text(world.Fetch()), Contains("one of both is without TLS"));
  CHECK_FALSE(world.wire.Asked("auth.io"));
}

TEST_CASE("who the registry has led to gets no login, whatever he wants and where he leads to") {
  World world;
  world.wire.answers[kManifest] = LeadsTo("https://cdn.io/x");
  world.wire.answers["https://cdn.io/x"] =
      GENERATE(Wants("Basic realm=\"r\""), Wants("Bearer realm=\"https://cdn.io/token\""),
               LeadsTo("https://r.io/back"));
  world.wire.answers["https://r.io/back"] = Wants("Basic realm=\"r\"");
  CHECK(absl::IsUnauthenticated(world.Fetch()));
  CHECK_FALSE(world.wire.Asked("with"));
  CHECK_FALSE(world.wire.Asked("cdn.io/token"));
}

TEST_CASE("places are found as RFC 3986, section 5, has it") {
  const Url base{"https://r.io:5000", "/v2/kata/gpu/blobs/sha256:a?x=1"};
  const auto at = [&](const std::string& reference) {
    const auto url = ResolveUrl(base, reference);
    return url.ok() ? url->server + url->path : "none";
  };
  CHECK(at("../elsewhere/b") == "https://r.io:5000/v2/kata/gpu/elsewhere/b");
  CHECK(at("b") == "https://r.io:5000/v2/kata/gpu/blobs/b");
  CHECK(at("/b?y=2") == "https://r.io:5000/b?y=2");
  CHECK(at("//other.io/b") == "https://other.io/b");
  CHECK(at("?y=2") == "https://r.io:5000/v2/kata/gpu/blobs/sha256:a?y=2");
  CHECK(at("https://CDN.io:443") == "https://cdn.io/");
  CHECK(at("http://[::1]:80/x#y") == "http://[::1]/x");
  for (const char* wrong : {"", "file:///etc/passwd", "ftp://x/y", "https://u:secret@x/y",
                            "https://u@x/y", "https://"}) {
    CAPTURE(wrong);
    CHECK(at(wrong) == "none");
    CHECK(Text(ResolveUrl(base, wrong).status()).find("secret") == std::string::npos);
  }
}

TEST_CASE("what stands in a query or before a host is told to nobody") {
  World world;
  world.wire.answers[kManifest] = LeadsTo("https://cdn.io/x?X-Signature=secret");
  const absl::Status failed = world.Fetch();
  CHECK_THAT(Text(failed), Contains("https://cdn.io/x: no such host"));
  CHECK(Text(failed).find("secret") == std::string::npos);
  world.wire.answers["https://cdn.io/x"] = {.code = 403};
  CHECK(Text(world.Fetch()).find("secret") == std::string::npos);
  world.wire.answers[kManifest] = LeadsTo("https://u:secret@cdn.io/x");
  CHECK(Text(world.Fetch()).find("secret") == std::string::npos);
  for (const char* url : {"u:secret@r.io/x:1", "https://u:secret@r.io/x:1"}) {
    const auto reference = ParseReference(url);
    CHECK_FALSE(reference.ok());
    CHECK(Text(reference.status()).find("secret") == std::string::npos);
  }
}
