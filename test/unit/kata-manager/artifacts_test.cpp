// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/kata-manager/artifacts/challenge.h"
#include "daemons/kata-manager/artifacts/credentials.h"
#include "daemons/kata-manager/artifacts/manifest.h"
#include "daemons/kata-manager/artifacts/reference.h"
#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager::artifacts;

namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string LayerText(const std::string& title, const std::string& digest = kDigest,
                      const std::string& size = "7") {
  return "{\"digest\": \"" + digest + "\", \"size\": " + size +
         ", \"annotations\": {\"org.opencontainers.image.title\": \"" + title + "\"}}";
}
std::string Of(const std::string& layers) {
  return "{\"schemaVersion\": 2, \"layers\": [" + layers + "]}";
}

}  // namespace

TEST_CASE("references") {
  const auto full = ParseReference("nvcr.io:5000/nvidia/cloud-native/kata__gpu:v1@" + kDigest);
  REQUIRE(full.ok());
  CHECK(full->host == "nvcr.io:5000");
  CHECK(full->repository == "nvidia/cloud-native/kata__gpu");
  CHECK(full->tag == "v1");
  CHECK(full->Version() == kDigest);
  CHECK(ParseReference("localhost/x:1")->Version() == "1");
  CHECK(ParseReference("[::1]:5000/x:1")->host == "[::1]:5000");
  CHECK(ParseReference("Index.docker.io/x:1")->repository == "library/x");
  CHECK(ParseReference("docker.io/a/x:1")->repository == "a/x");
  for (const std::string& wrong :
       {std::string("nvidia/x:1"), std::string("r.io/x"), std::string("r.io/X:1"),
        std::string("r.io/../x:1"), std::string("r.io/x@sha512:00"), std::string("r.io/x:"),
        std::string("x"), std::string("r.io/x:-"), std::string("r.io/a//b:1"),
        std::string("u@r.io/x:1"), "r.io/x:" + std::string(129, 't'), std::string("")}) {
    CAPTURE(wrong);
    CHECK_FALSE(ParseReference(wrong).ok());
  }
}

TEST_CASE("logins are found by host and path") {
  Credentials credentials;
  REQUIRE(credentials
              .Add("f", R"({"auths": {"https://r.io/v1/": {"auth": "dTpwOnE="},
                           "r.io/team": {"username": "t", "password": "s"},
                           "r.io:5000": {"identitytoken": "i"}}})")
              .ok());
  CHECK((*credentials.Find("r.io", "x"))->user == "u");
  CHECK((*credentials.Find("r.io", "x"))->password == "p:q");
  CHECK((*credentials.Find("r.io", "team/x"))->user == "t");
  CHECK((*credentials.Find("r.io", "teams/x"))->user == "u");
  CHECK((*credentials.Find("r.io:5000", "x"))->identity_token == "i");
  CHECK_FALSE(*credentials.Find("other.io", "x"));
  for (const char* wrong :
       {R"({"auths": {"r": {"auth": "!"}}})", R"({"auths": {"r": {"auth": "dQ=="}}})",
        R"({"auths": {"r": {}}})", R"({"auths": {"r": {"username": 1}}})"}) {
    CAPTURE(wrong);
    Credentials one;
    CHECK(one.Add("f", wrong).ok());  // not judged before it is needed
    CHECK(absl::IsInvalidArgument(one.Find("r", "x").status()));
    CHECK_FALSE(*one.Find("other", "x"));
  }
  for (const char* wrong : {"", "[]", R"({"auths": []})"}) {
    CAPTURE(wrong);
    CHECK(absl::IsInvalidArgument(Credentials().Add("f", wrong)));
  }
}

TEST_CASE("logins that other programs keep beside ours, and patterns of the kubelet") {
  Credentials credentials;
  // As `crane auth login` 0.22 leaves it beside a credential helper.
  REQUIRE(credentials
              .Add("f", R"({"auths": {"https://other.io/v1/": {}, "R.io": {"auth": "dTpw"},
                           "https://index.docker.io/v1/": {"auth": "ZDpw"},
                           "*.example.com:5000": {"auth": "ZTpw"},
                           "helped.io": {}},
                           "credHelpers": {"helped.io": "gcloud"}})")
              .ok());
  CHECK((*credentials.Find("r.io", "x"))->user == "u");
  CHECK((*credentials.Find("docker.io", "library/x"))->user == "d");
  CHECK((*credentials.Find("a.example.com:5000", "x"))->user == "e");
  CHECK_FALSE(*credentials.Find("a.b.example.com:5000", "x"));
  CHECK_FALSE(*credentials.Find("a.example.com", "x"));
  CHECK_THAT(Text(credentials.Find("other.io", "x").status()),
             Catch::Contains("has neither password nor identitytoken"));
  CHECK_THAT(Text(credentials.Find("helped.io", "x").status()),
             Catch::Contains("is with docker-credential-gcloud, which is not asked"));
  // As `oras login` 1.3 leaves it.
  Credentials store;
  REQUIRE(store.Add("f", R"({"credsStore": "secretservice"})").ok());
  CHECK_THAT(Text(store.Find("r.io", "x").status()),
             Catch::Contains("f: the login for r.io is with docker-credential-secretservice"));
}

TEST_CASE("challenges") {
  const auto both = ParseChallenges(
      "Basic realm=\"a, b\", Bearer realm=\"https://x/t\",service=s , scope=\"a \\\"b\\\" c\"");
  REQUIRE(both.size() == 2);
  CHECK(both[0].scheme == "basic");
  CHECK(both[0].parameters.at("realm") == "a, b");
  CHECK(both[1].parameters.at("realm") == "https://x/t");
  CHECK(both[1].parameters.at("service") == "s");
  CHECK(both[1].parameters.at("scope") == "a \"b\" c");
  CHECK(ParseChallenges("Basic\nBEARER realm=x")[1].scheme == "bearer");
  CHECK(ParseChallenges("").empty());
  CHECK(ParseChallenges("=, \"x").empty());
  CHECK(ParseChallenges("Bearer realm=\"open")[0].parameters.empty());
  CHECK(UrlEncoded("a b&c=\xc3\xa4~") == "a%20b%26c%3D%C3%A4~");
}

TEST_CASE("manifests that are used, and those that are not") {
  const auto manifest =
      ParseManifest(Of(LayerText("configuration.toml") + ", " + LayerText("sub/image") +
                       ", {\"digest\": \"" + kDigest + "\", \"size\": 2}"));
  REQUIRE(manifest.ok());
  REQUIRE(manifest->layers.size() == 3);
  CHECK(manifest->layers[1].title == "sub/image");
  CHECK(manifest->layers[2].title.empty());
  std::string many = LayerText("t0");
  for (int i = 1; i <= 1000; ++i) many += ", " + LayerText("t" + std::to_string(i));
  for (const std::string& wrong :
       {std::string("{"), std::string("[]"), std::string("{\"schemaVersion\": 1, \"layers\": []}"),
        Of(""), Of("1"), Of("{\"digest\": \"" + kDigest + "\", \"size\": 2}"),
        Of(LayerText("a", "sha256:x")), Of(LayerText("a", kDigest, "-1")),
        Of(LayerText("a", kDigest, "1.5")), Of(LayerText("a", kDigest, "99999999999999")),
        Of(LayerText("a") + ", " + LayerText("a")), Of(LayerText("a") + ", " + LayerText("a/b")),
        Of(LayerText("a/b/c/d") + ", " + LayerText("a/b") + ", " + LayerText("a/b.x")), Of(many)}) {
    CAPTURE(wrong.substr(0, 100));
    CHECK(absl::IsInvalidArgument(ParseManifest(wrong).status()));
  }
}

TEST_CASE("manifests of another kind are called by their name") {
  CHECK_THAT(Text(ParseManifest(R"({"mediaType": "application/vnd.oci.artifact.manifest.v1+json",
                                    "blobs": []})")
                      .status()),
             Catch::Contains("OCI artifact manifest"));  // of oras 0.15
  CHECK_THAT(Text(ParseManifest(R"({"schemaVersion": 2, "manifests": []})").status()),
             Catch::Contains("an index in an index"));
  CHECK(
      ParseManifest(Of(LayerText("a/b") + ", " + LayerText("a/c") + ", " + LayerText("a.b"))).ok());
}

TEST_CASE("file names that lead elsewhere") {
  using namespace std::string_literals;
  for (const std::string& wrong :
       {"../x"s, "/abs"s, "a/../../b"s, "a/.."s, ""s, "."s, "a//b"s, "a/"s, "a\0b"s, "a\nb"s,
        "a\\b"s, "config.d/99-x.toml"s, "generation.json"s, std::string(256, 'x'), "a\xff"s,
        "\xc0\xaf"s, "\xed\xa0\x80"s, "\xe4\xb8"s}) {
    CAPTURE(wrong);
    CHECK_FALSE(CheckTitle(wrong).ok());
  }
  CHECK(CheckTitle("a/..b/c...").ok());
  CHECK(CheckTitle(std::string(255, 'x')).ok());
  CHECK(CheckTitle("sub/config.d/x").ok());
  CHECK(CheckTitle("gr\xc3\xb6\xc3\x9f"
                   "e \xf0\x9f\x98\x80 \xe4\xb8\xad")
            .ok());
}
