// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/endpoint.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

constexpr const char* kAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";

// A kubeconfig with these entries of cluster and user.
std::string Kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts: [{name: there, context: {cluster: x, user: y}},\n"
         "           {name: here, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: {" +
         cluster +
         "}}]\n"
         "users: [{name: other, user: {token: wrong}}, {name: u, user: {" +
         user + "}}]\n";
}

absl::StatusOr<kube::Endpoint> Load(const std::string& content) {
  fake::TempRoot root;
  root.File("/etc/gpuhost/kubeconfig", content);
  root.File("/etc/gpuhost/ca.crt", "CA");
  root.File("/etc/gpuhost/token", "from a file\n");
  return kube::LoadKubeconfig(HostFs(root.path()), "/etc/gpuhost/kubeconfig");
}

constexpr const char* kServer = R"(server: "https://h:6443/", certificate-authority: ca.crt)";

}  // namespace

TEST_CASE("a pod finds its service account") {
  fake::TempRoot root;
  const HostFs own(root.path());
  CHECK(absl::IsNotFound(kube::LoadServiceAccount(own, "10.0.0.1", "443").status()));
  root.File(std::string(kAccount) + "ca.crt", "CA");
  root.File(std::string(kAccount) + "token", "one\n");
  const auto endpoint = kube::LoadServiceAccount(own, "10.0.0.1", "6443");
  REQUIRE(endpoint.ok());
  CHECK(endpoint->server == "https://10.0.0.1:6443");
  CHECK(endpoint->ca_pem == "CA");
  CHECK(endpoint->token == "one");
  CHECK(kube::LoadServiceAccount(own, "fd00::1", "")->server == "https://[fd00::1]:443");
  CHECK(absl::IsInvalidArgument(kube::LoadServiceAccount(own, "h", "many").status()));

  root.File(std::string(kAccount) + "token", " two\n\n");
  CHECK(kube::LoadEndpoint(own, {.service_host = "h"})->token == "two");
}

TEST_CASE("an empty authority or token is an error, not everybody's and nobody's") {
  fake::TempRoot root;
  const HostFs own(root.path());
  for (const char* empty : {"ca.crt", "token"}) {
    CAPTURE(empty);
    root.File(std::string(kAccount) + "ca.crt", "CA");
    root.File(std::string(kAccount) + "token", "one");
    root.File(std::string(kAccount) + empty, "\n");
    const auto status = kube::LoadServiceAccount(own, "h", "443").status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(Text(status).find(empty) != std::string::npos);
  }
  root.File("/etc/gpuhost/ca.crt", "CA");
  root.File("/etc/gpuhost/empty", "");
  for (const auto& [cluster, user] :
       {std::pair(R"(server: "https://h", certificate-authority: empty)", "token: t"),
        std::pair(kServer, "tokenFile: empty")}) {
    root.File("/etc/gpuhost/kubeconfig", Kubeconfig(cluster, user));
    const auto status = kube::LoadKubeconfig(own, "/etc/gpuhost/kubeconfig").status();
    CHECK(Text(status).find("/etc/gpuhost/empty: it is empty") != std::string::npos);
  }
}

TEST_CASE("a kubeconfig gives its current context") {
  auto endpoint = Load(Kubeconfig(std::string(kServer) + ", tls-server-name: n, proxy-url: p",
                                  "token: secret, client-certificate-data: Q0VSVA==, "
                                  "client-key-data: S0VZ"));
  REQUIRE(endpoint.ok());
  CHECK(endpoint->server == "https://h:6443");
  CHECK(endpoint->ca_pem == "CA");
  CHECK(endpoint->server_name == "n");
  CHECK(endpoint->proxy == "p");
  CHECK(endpoint->token == "secret");
  CHECK(endpoint->certificate_pem == "CERT");
  CHECK(endpoint->key_pem == "KEY");

  endpoint = Load(Kubeconfig(kServer, "tokenFile: token, token: old"));
  REQUIRE(endpoint.ok());
  CHECK(endpoint->token == "from a file");
}

TEST_CASE("the own namespace is that of the pod, or of the kubeconfig's context") {
  fake::TempRoot root;
  const HostFs own(root.path());
  CHECK(absl::IsNotFound(kube::OwnNamespace(own, {.service_host = "h"}).status()));
  root.File(std::string(kAccount) + "namespace", "gpu-operator");
  CHECK(*kube::OwnNamespace(own, {.service_host = "h"}) == "gpu-operator");
  root.File("/k", "current-context: x\ncontexts: [{name: x, context: {namespace: mine}}]");
  CHECK(*kube::OwnNamespace(own, {.kubeconfig = "/k"}) == "mine");
  root.File("/k", "current-context: x\ncontexts: [{name: x, context: {}}]");
  CHECK(*kube::OwnNamespace(own, {.kubeconfig = "/k"}) == "default");
  root.File("/k", "{[");
  CHECK(absl::IsInvalidArgument(kube::OwnNamespace(own, {.kubeconfig = "/k"}).status()));
}

TEST_CASE("a kubeconfig that cannot be used is refused with the reason") {
  const auto refusal = [](const std::string& content) { return Text(Load(content).status()); };
  const auto contains = [](const std::string& text) { return Catch::Matchers::Contains(text); };
  CHECK_THAT(refusal("{["), contains("not YAML"));
  CHECK_THAT(refusal(""), contains("current-context"));
  CHECK_THAT(refusal("- a\n- b"), contains("current-context"));
  CHECK_THAT(refusal("current-context: x"), contains("no 'x' among its contexts"));
  CHECK_THAT(refusal("current-context: x\ncontexts: {x: y}"), contains("among its contexts"));
  CHECK_THAT(refusal("current-context: x\ncontexts: [1, {name: x}]"),
             contains("among its clusters"));
  CHECK_THAT(refusal(Kubeconfig("server: http://h", "")), contains("not https"));
  CHECK_THAT(refusal(Kubeconfig("server: 'https://h', insecure-skip-tls-verify: true", "")),
             contains("certificate-authority instead"));
  CHECK_THAT(refusal(Kubeconfig("server: 'https://h', certificate-authority: gone", "")),
             contains("/etc/gpuhost/gone"));
  CHECK_THAT(refusal(Kubeconfig("server: 'https://h', certificate-authority-data: '?'", "")),
             contains("not base64"));
  CHECK_THAT(refusal(Kubeconfig(kServer, "auth-provider: {name: x}")), contains("'auth-provider'"));
  CHECK_THAT(refusal(Kubeconfig(kServer, "username: x, password: y")), contains("'username'"));
  CHECK_THAT(refusal(Kubeconfig(kServer, "token: t, as: somebody")), contains("impersonation"));
  CHECK_THAT(refusal(Kubeconfig(kServer, "token: t, as-groups: [a]")), contains("impersonation"));
  CHECK_THAT(refusal(Kubeconfig(kServer, "client-key-data: S0VZ")), contains("go together"));
  CHECK(absl::IsInvalidArgument(kube::LoadKubeconfig(HostFs(), "relative").status()));
  CHECK(absl::IsNotFound(kube::LoadKubeconfig(HostFs(), "/nowhere/kubeconfig").status()));
}
