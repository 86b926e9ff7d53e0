// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/exec_plugin.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kV1 = "client.authentication.k8s.io/v1";

// A kubeconfig whose user is got by a shell script, in a directory of its own.
struct World {
  explicit World(const std::string& script, const std::string& more = "") {
    std::filesystem::remove(root.path() + "/kubeconfig");
    root.File("/plugin", script);
    root.File("/kubeconfig",
              "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
              "clusters: [{name: c, cluster: {server: 'https://h'}}]\n"
              "users: [{name: u, user: {exec: {apiVersion: " +
                  std::string(kV1) + ", command: /bin/sh, args: [" + root.path() + "/plugin, " +
                  root.path() + "/runs]" + more + "}}}]\n");
  }
  size_t Runs() const {
    const auto runs = HostFs(root.path()).Read("/runs");
    return runs.ok() ? runs->size() : 0;
  }

  fake::TempRoot root;
  HostFs own{root.path()};
  std::time_t now = 1'700'000'000;  // 2023-11-14T22:13:20Z
  kube::EndpointSource source{own, {.kubeconfig = "/kubeconfig"}, [this] { return now; }};
};

std::string Prints(const std::string& status) {
  return "printf . >>$1\ncat <<END\n{\"apiVersion\":\"" + std::string(kV1) +
         "\",\"kind\":\"ExecCredential\",\"status\":" + status + "}\nEND\n";
}

}  // namespace

TEST_CASE("a plugin's token is kept until it expires or is refused") {
  World world(
      Prints(R"_({"token":"t$(wc -c <$1)","expirationTimestamp":"2023-11-14T22:15:00Z"})_"));
  CHECK(world.source.Load()->token == "t1");
  CHECK(world.source.Load()->token == "t1");
  world.source.Refused();
  CHECK(world.source.Load()->token == "t2");
  world.now += 95;
  CHECK(world.source.Load()->token == "t3");
  CHECK(world.Runs() == 3);
}

TEST_CASE("a plugin may give a certificate, and is told who asks") {
  World world(Prints(R"({"clientCertificateData":"C$NAME","clientKeyData":"K"})") +
                  "case $KUBERNETES_EXEC_INFO in *https://h*'\"interactive\":false'*) ;; "
                  "*) exit 1 ;; esac\n",
              ", provideClusterInfo: true, env: [{name: NAME, value: a b}]");
  const auto endpoint = world.source.Load();
  CHECK(Text(endpoint.status()) == "");
  REQUIRE(endpoint.ok());
  CHECK(endpoint->certificate_pem == "Ca b");
  CHECK(endpoint->key_pem == "K");
}

TEST_CASE("a plugin that fails is named with its complaint, and run again the next time") {
  World world("printf . >>$1\necho not logged in >&2\nexit 1\n");
  const auto text = Text(world.source.Load().status());
  CHECK_THAT(text, Contains("/plugin") && Contains("not logged in"));
  CHECK(!world.source.Load().ok());
  CHECK(world.Runs() == 2);
  World input("printf . >>$1\nread answer && echo asked >&2\nexit 1\n");
  CHECK_THAT(Text(input.source.Load().status()), !Contains("asked"));
}

TEST_CASE("a 401 makes the client run the plugin again") {
  apiserver::ScriptedApiServer server;
  server.AddNode("n");
  World world(Prints(R"_({"token":"$(cat ${1%/runs}/token)"})_"));
  world.root.File("/ca.crt", server.admin().ca_pem);
  world.root.File("/token", server.admin().token);
  auto config = *world.own.Read("/kubeconfig");
  config.replace(config.find("server: 'https://h'"), 19,
                 "server: '" + server.admin().server + "', certificate-authority: ca.crt");
  world.root.File("/kubeconfig", config);
  kube::CurlClient http;
  kube::Client client(http, world.source);
  CHECK(client.GetNode("n").ok());
  server.RenewToken();
  world.root.File("/token", server.admin().token);
  CHECK(client.GetNode("n").ok());
  CHECK(world.Runs() == 2);
}

TEST_CASE("what a plugin prints and is no credential") {
  const auto parse = [](const std::string& text) {
    return Text(kube::ParseCredential(text, kV1).status());
  };
  const auto with = [&](const std::string& status) {
    return parse(R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
                 R"("status":)" +
                 status + "}");
  };
  CHECK(with(R"({"token":"x"})").empty());
  for (const char* text : {"", "null", "[]", "{", "x", R"({"kind":"Secret"})"}) {
    CHECK_THAT(parse(text), Contains("no ExecCredential"));
  }
  CHECK_THAT(parse(R"({"kind":"ExecCredential","apiVersion":"v2"})"), Contains("'v2'"));
  for (const char* status : {"null", "{}", "[]", "1", R"({"token":1})"}) {
    CHECK_THAT(with(status), Contains("neither"));
  }
  CHECK_THAT(with(R"({"clientKeyData":"k"})"), Contains("go together"));
  CHECK_THAT(with(R"({"token":"a\r\nHost: b"})"), Contains("characters"));
  for (const char* time :
       {"1", R"("soon")", R"("")", R"("2023-11-14")", R"("2023-11-14T22:15:00")"}) {
    CHECK_THAT(with(fmt::format(R"({{"token":"x","expirationTimestamp":{}}})", time)),
               Contains("no time"));
  }
}

TEST_CASE("times of RFC 3339") {
  CHECK(kube::ParseTime("2023-11-14T22:13:20Z") == 1'700'000'000);
  CHECK(kube::ParseTime("2023-11-14T22:13:20.123456Z") == 1'700'000'000);
  CHECK(kube::ParseTime("2023-11-14T23:43:20+01:30") == 1'700'000'000);
  CHECK(kube::ParseTime("2023-11-14T21:13:20-01:00") == 1'700'000'000);
  CHECK(!kube::ParseTime("2023-11-14T22:13:20Zx"));
  CHECK(!kube::ParseTime("2023-11-14T22:13:20+1"));
}

TEST_CASE("exec in a kubeconfig that cannot be used") {
  fake::TempRoot root;
  const auto refusal = [&](const std::string& exec) {
    root.File("/k",
              "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
              "clusters: [{name: c, cluster: {server: 'https://h'}}]\n"
              "users: [{name: u, user: {exec: " +
                  exec + "}}]\n");
    return Text(kube::LoadKubeconfig(HostFs(root.path()), "/k").status());
  };
  const std::string start = "{apiVersion: client.authentication.k8s.io/v1beta1, command: ";
  CHECK(refusal(start + "/bin/true}").empty());
  CHECK(refusal(start + "sh}").empty());
  CHECK_THAT(refusal("x"), Contains("apiVersion ''"));
  CHECK_THAT(refusal("[]"), Contains("apiVersion ''"));
  CHECK_THAT(refusal("{apiVersion: client.authentication.k8s.io/v1alpha1, command: x}"),
             Contains("v1alpha1"));
  CHECK_THAT(refusal(start + "''}"), Contains("no command"));
  CHECK_THAT(refusal(start + "no-such-plugin}"), Contains("nowhere on $PATH"));
  CHECK_THAT(refusal(start + "/x, interactiveMode: Always}"), Contains("there is none"));
  CHECK_THAT(refusal(start + "/x, args: x}"), Contains("exec.args"));
  CHECK_THAT(refusal(start + "/x, args: [[]]}"), Contains("exec.args"));
  CHECK_THAT(refusal(start + "/x, env: {a: b}}"), Contains("exec.env"));
  CHECK_THAT(refusal(start + "/x, env: [{value: b}]}"), Contains("exec.env"));
}
