// SPDX-License-Identifier: Apache-2.0
//
// Whom we believe: the server by its certificate, an answer by what it is about.
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/apiserver/certificate.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

constexpr const char* kSystemAuthorities = "/etc/ssl/certs";

// A client in a process of its own, where `directory` holds the system's authorities. Made before
// there are threads, for a process that is forked from among threads may find locks held for ever.
class ClientElsewhere {
 public:
  explicit ClientElsewhere(const std::string& directory) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    ours_ = UniqueFd(ends[0]);
    UniqueFd theirs(ends[1]);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      ours_.Reset();
      Serve(theirs.get(), directory);
    }
  }
  ~ClientElsewhere() {
    ours_.Reset();
    ::waitpid(child_, nullptr, 0);
  }

  absl::StatusCode Ask(const kube::Endpoint& endpoint) {
    const std::string request = endpoint.server + "\n" + endpoint.ca_pem;
    REQUIRE(::send(ours_.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0);
    int code = -1;
    INFO("the test needs the right to mount in a namespace of its own: run it as root");
    REQUIRE(::recv(ours_.get(), &code, sizeof code, 0) == sizeof code);
    return static_cast<absl::StatusCode>(code);
  }

 private:
  [[noreturn]] static void Serve(int socket, const std::string& directory) {
    const bool placed =
        ::unshare(CLONE_NEWNS) == 0 &&
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount(directory.c_str(), kSystemAuthorities, nullptr, MS_BIND, nullptr) == 0;
    if (!placed) ::_exit(1);
    kube::CurlClient http;
    char buffer[8192];
    for (ssize_t got; (got = ::recv(socket, buffer, sizeof buffer, 0)) > 0;) {
      const std::string text(buffer, static_cast<size_t>(got));
      const size_t end = text.find('\n');
      const kube::Endpoint endpoint{.server = text.substr(0, end), .ca_pem = text.substr(end + 1)};
      const auto code = static_cast<int>(http.Send(endpoint, {.path = "/version"}).status().code());
      if (::send(socket, &code, sizeof code, MSG_NOSIGNAL) < 0) break;
    }
    ::_exit(0);
  }

  UniqueFd ours_;
  pid_t child_ = -1;
};

// Says the same to everybody.
class Says : public kube::HttpClient {
 public:
  explicit Says(std::string body) : body_(std::move(body)) {}
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint&, const kube::Request&,
                                        const kube::BodySink& sink) override {
    kube::Response response{.code = 200};
    if (!sink) response.body = body_;
    if (sink) GPUHOST_TRY(sink(body_));
    return response;
  }

 private:
  std::string body_;
};

std::string NodeText(const std::string& name, const std::string& mode) {
  return fmt::format(R"({{"kind":"Node","metadata":{{"name":"{}","uid":"u","resourceVersion":"7",)"
                     R"("labels":{{"nvidia.com/cc.mode":"{}"}}}}}})",
                     name, mode);
}

kube::Client ClientOf(kube::HttpClient& http) {
  return kube::Client(http, [] { return kube::Endpoint{.server = "https://h"}; });
}

}  // namespace

// libcurl 7.88.1 of Debian has a directory of authorities compiled in, and trusts it besides those
// that it is given.
TEST_CASE("the authority that was given is the only one trusted") {
  fake::TempRoot with, without;
  ClientElsewhere trusting(with.path()), wary(without.path());
  apiserver::ScriptedApiServer server;
  const apiserver::Certificate another("another");
  for (fake::TempRoot* store : {&with, &without}) {
    store->File("/ca-certificates.crt", another.pem);
  }
  with.File("/" + apiserver::Certificate().NameInDirectory(), server.admin().ca_pem);
  kube::Endpoint endpoint = server.admin();
  CHECK(wary.Ask(endpoint) == absl::StatusCode::kOk);
  endpoint.ca_pem = "";
  CHECK(wary.Ask(endpoint) == absl::StatusCode::kFailedPrecondition);
  CHECK(trusting.Ask(endpoint) == absl::StatusCode::kOk);
  endpoint.ca_pem = another.pem;
  CHECK(trusting.Ask(endpoint) == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("an answer about another node decides nothing") {
  Says other(NodeText("m", "on"));
  CHECK(absl::IsDataLoss(ClientOf(other).GetNode("n").status()));
  CHECK(absl::IsDataLoss(ClientOf(other).PatchNodeLabels("n", {{"nvidia.com/a", "1"}}).status()));

  const std::string items = NodeText("m", "on") + "," + NodeText("n", "off");
  Says list(R"({"kind":"NodeList","metadata":{"resourceVersion":"9"},"items":[)" + items + "]}");
  const auto found = ClientOf(list).ListNode("n");
  REQUIRE(found.ok());
  REQUIRE(found->node);
  CHECK(found->node->labels.at("nvidia.com/cc.mode") == "off");
  CHECK_FALSE(ClientOf(list).ListNode("x")->node);

  Says watch(R"({"type":"MODIFIED","object":)" + NodeText("m", "on") + "}\n" +
             R"({"type":"DELETED","object":)" + NodeText("m", "on") + "}\n" +
             R"({"type":"MODIFIED","object":)" + NodeText("n", "off") + "}\n");
  std::vector<std::string> heard;
  const absl::Status ended = ClientOf(watch).WatchNode(
      "n", "7", std::chrono::minutes(5), [&](const kube::NodeEvent& event) {
        if (event.kind != kube::NodeEvent::Kind::kBookmark) heard.push_back(event.node.name);
        return absl::OkStatus();
      });
  CHECK(ended.ok());
  CHECK(heard == std::vector<std::string>{"n"});
}

TEST_CASE("an error tells of no query and no login") {
  kube::CurlClient http;
  const kube::Endpoint endpoint{.server = "https://user:word@127.0.0.1:1"};
  const auto status = http.Send(endpoint, {.path = "/blob?X-Signature=abc"}).status();
  CHECK(absl::IsUnavailable(status));
  const std::string text = Text(status);
  CHECK(text.find("GET https://127.0.0.1:1/blob: ") != std::string::npos);
  for (const char* secret : {"abc", "word", "user"}) CHECK(text.find(secret) == std::string::npos);
}
