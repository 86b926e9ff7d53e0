// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/secrets.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using Catch::Matchers::Contains;
using kata_manager::artifacts::Secrets;

namespace {

constexpr const char* kPath = "/api/v1/namespaces/operators/secrets/nvcr";

// An API server with one answer for one path, for whoever brings the token.
class Server final : public kube::HttpClient {
 public:
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink&) override {
    if (endpoint.token != "t" || request.method != "GET") return kube::Response{.code = 401};
    if (!status.ok()) return status;
    return request.path == kPath ? answer : kube::Response{.code = 404};
  }

  kube::Response answer;
  absl::Status status;
};

struct Bench {
  Bench() {
    root.File("/kubeconfig",
              R"({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                  "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                  "clusters": [{"name": "c", "cluster": {"server": "https://h:6443",
                                "certificate-authority-data": "Q0E="}}],
                  "users": [{"name": "u", "user": {"token": "t"}}]})");
  }
  absl::StatusOr<std::string> Read(const std::string& name,
                                   const std::string& name_space = "operators") {
    return Secrets(fs, server, "/kubeconfig", name_space).Read(name);
  }
  absl::StatusOr<std::string> Answered(int code, const std::string& body = "") {
    server.answer = {.code = code, .body = body};
    return Read("nvcr");
  }

  fake::TempRoot root;
  HostFs fs{root.path()};
  Server server;
};

}  // namespace

TEST_CASE("a pull secret is read from the API server") {
  Bench bench;
  CHECK(bench.Answered(200, R"({"data": {".dockerconfigjson": "eyJhdXRocyI6e319"}})").value() ==
        R"({"auths":{}})");
  CHECK(absl::IsNotFound(bench.Read("other").status()));
}

TEST_CASE("a pull secret that cannot be read is an error that says what to do") {
  Bench bench;
  const auto forbidden = bench.Answered(403).status();
  CHECK(absl::IsPermissionDenied(forbidden));
  CHECK_THAT(Text(forbidden), Contains("get secret nvcr in operators") && Contains("the right to"));
  CHECK(absl::IsNotFound(bench.Answered(404).status()));
  CHECK(absl::IsUnavailable(bench.Answered(500).status()));
  bench.server.status = absl::UnavailableError("connection refused");
  CHECK_THAT(Text(bench.Read("nvcr").status()), Contains("connection refused"));
}

TEST_CASE("a secret of another type, or an answer that is none, is refused") {
  Bench bench;
  for (const char* body :
       {"", "[]", "{}", R"({"data": null})", R"({"data": {"password": "eA=="}})",
        R"({"data": {".dockerconfigjson": 1}})", R"({"data": {".dockerconfigjson": "%%"}})"}) {
    CAPTURE(body);
    const auto refused = bench.Answered(200, body).status();
    CHECK(absl::IsInvalidArgument(refused));
    CHECK_THAT(Text(refused), Contains("kubernetes.io/dockerconfigjson"));
  }
}

TEST_CASE("names that would lead elsewhere are not asked for") {
  Bench bench;
  bench.server.answer = {.code = 200, .body = R"({"data": {".dockerconfigjson": "e30="}})"};
  for (const char* name : {"", "../nvcr", "a/b", "nvcr?x=y", "NVCR", "a b"}) {
    CAPTURE(name);
    CHECK(absl::IsInvalidArgument(bench.Read(name).status()));
    CHECK(absl::IsInvalidArgument(bench.Read("nvcr", *name == '\0' ? "/" : name).status()));
  }
}
