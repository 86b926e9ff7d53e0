// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "daemons/common/service/http_request.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

using namespace gpuhost;

namespace {

UniqueFd Connect(int port, const char* from = "127.0.0.1") {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  REQUIRE(::inet_pton(AF_INET, from, &address.sin_addr) == 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

std::string Ask(int port, const std::string& request, const char* from = "127.0.0.1") {
  const UniqueFd fd = Connect(port, from);
  REQUIRE(::write(fd.get(), request.data(), request.size()) ==
          static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[1024];
  for (ssize_t got; (got = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

std::string Get(int port, const std::string& path, const char* from = "127.0.0.1") {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", from);
}

// Sends a byte whenever nothing has come for a moment, until the other side ends the connection.
bool EndsThoughItDribbles(const UniqueFd& fd) {
  for (int i = 0; i < 10'000; ++i) {
    pollfd one{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, 5) > 0) return true;
    if (::send(fd.get(), "x", 1, MSG_NOSIGNAL) < 0) return true;
  }
  return false;
}

const auto kYes = [] { return true; };

}  // namespace

TEST_CASE("metrics and probes answer, everything else does not") {
  service::Metrics metrics;
  metrics.Describe("changes_total", service::Metrics::Type::kCounter, "Changes.");
  metrics.Describe("unused", service::Metrics::Type::kGauge, "Nothing.");
  std::atomic<bool> ready = false;
  auto endpoint = service::HttpEndpoint::Listen(
      "127.0.0.1:0", {metrics, [] { return true; }, [&] { return ready.load(); }});
  REQUIRE(endpoint.ok());
  const int port = (*endpoint)->port();
  metrics.Add("changes_total", {{"result", "a \"b\"\n"}});
  metrics.Add("changes_total", {{"result", "a \"b\"\n"}});

  const std::string text = Get(port, "/metrics");
  CHECK(text.find("# TYPE changes_total counter\nchanges_total{result=\"a \\\"b\\\"\\n\"} 2\n") !=
        std::string::npos);
  CHECK(text.find("unused") == std::string::npos);
  CHECK(Get(port, "/healthz").find(" 200 ") != std::string::npos);
  CHECK(Get(port, "/readyz").find(" 503 ") != std::string::npos);
  ready = true;
  CHECK(Get(port, "/readyz").find(" 200 ") != std::string::npos);
  CHECK(Get(port, "/etc/passwd").find(" 404 ") != std::string::npos);
  CHECK(Ask(port, "nonsense\r\n\r\n").find(" 400 ") != std::string::npos);
}

TEST_CASE("an answer of any size arrives, and a client that says nothing holds nobody at the end") {
  service::Metrics metrics;
  metrics.Describe("many", service::Metrics::Type::kGauge, "Many.");
  for (int i = 0; i < 50000; ++i) metrics.Set("many", {{"number", std::to_string(i)}}, i);
  auto endpoint = service::HttpEndpoint::Listen(
      "127.0.0.1:0", {metrics, [] { return true; }, [] { return true; }});
  REQUIRE(endpoint.ok());
  const std::string answer = Get((*endpoint)->port(), "/metrics");
  CHECK(answer.size() > 1000000);
  CHECK(answer.ends_with("many{number=\"9999\"} 9999\n"));
  CHECK(Ask((*endpoint)->port(), "POST /metrics HTTP/1.1\r\n\r\n").find(" 200 ") ==
        std::string::npos);
  const std::string endless = "GET /" + std::string(100000, 'x');
  CHECK(Ask((*endpoint)->port(), endless).find(" 200 ") == std::string::npos);

  const UniqueFd silent = Connect((*endpoint)->port());
  endpoint->reset();
}

TEST_CASE("one address cannot keep the others out") {
  service::Metrics metrics;
  auto endpoint = service::HttpEndpoint::Listen(
      "127.0.0.1:0", {metrics, kYes, kYes},
      {.connections = 4, .of_one_address = 2, .whole_request = std::chrono::hours(1)});
  REQUIRE(endpoint.ok());
  const int port = (*endpoint)->port();
  const UniqueFd first = Connect(port, "127.0.0.2"), second = Connect(port, "127.0.0.2");
  CHECK(Get(port, "/healthz").find(" 200 ") != std::string::npos);
  const UniqueFd third = Connect(port, "127.0.0.2");
  char byte;
  CHECK(::read(third.get(), &byte, 1) <= 0);
  CHECK(Get(port, "/healthz", "127.0.0.3").find(" 200 ") != std::string::npos);
}

TEST_CASE("connections in all are limited, and free again when they end") {
  service::Metrics metrics;
  auto endpoint = service::HttpEndpoint::Listen(
      "127.0.0.1:0", {metrics, kYes, kYes},
      {.connections = 2, .of_one_address = 2, .whole_request = std::chrono::hours(1)});
  REQUIRE(endpoint.ok());
  const int port = (*endpoint)->port();
  UniqueFd first = Connect(port), second = Connect(port);
  char byte;
  const UniqueFd third = Connect(port, "127.0.0.2");
  CHECK(::read(third.get(), &byte, 1) <= 0);
  // Half closed, it is noticed before anything that comes after.
  REQUIRE(::shutdown(first.get(), SHUT_WR) == 0);
  CHECK(::read(first.get(), &byte, 1) == 0);
  CHECK(Get(port, "/readyz").find(" 200 ") != std::string::npos);
}

TEST_CASE("a client that sends a byte now and then is cut all the same") {
  service::Metrics metrics;
  auto endpoint = service::HttpEndpoint::Listen("127.0.0.1:0", {metrics, kYes, kYes},
                                                {.whole_request = std::chrono::milliseconds(50)});
  REQUIRE(endpoint.ok());
  CHECK(EndsThoughItDribbles(Connect((*endpoint)->port())));
}

TEST_CASE("request heads: whole, in pieces, and none") {
  using Kind = service::RequestHead::Kind;
  const auto kind = [](std::string_view text) { return service::ParseRequestHead(text).kind; };
  const auto head = service::ParseRequestHead("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(head.kind == Kind::kComplete);
  CHECK(head.method == "GET");
  CHECK(head.path == "/metrics");
  CHECK(service::ParseRequestHead("GET / HTTP/1.0\n\n").path == "/");
  for (const char* part :
       {"", "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n\r"}) {
    CAPTURE(part);
    CHECK(kind(part) == Kind::kIncomplete);
  }
  for (const char* none :
       {"\r\n\r\n", "nonsense\r\n\r\n", "GET /\r\n\r\n", " / HTTP/1.1\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET /a /b HTTP/1.1\r\n\r\n"}) {
    CAPTURE(none);
    CHECK(kind(none) == Kind::kInvalid);
  }
  CHECK(kind("GET /" + std::string(service::RequestHead::kLongestHead, 'x')) == Kind::kInvalid);
}

TEST_CASE("an address that cannot be used is refused") {
  service::Metrics metrics;
  const auto listen = [&](const std::string& address) {
    return service::HttpEndpoint::Listen(address,
                                         {metrics, [] { return true; }, [] { return true; }})
        .status();
  };
  for (const char* address : {"", "127.0.0.1", ":9400", "127.0.0.1:99999", "127.0.0.1:http"}) {
    CAPTURE(address);
    CHECK(absl::IsInvalidArgument(listen(address)));
  }
  const UniqueFd taken(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(taken.get(), 1) == 0);
  REQUIRE(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  CHECK(absl::IsUnavailable(listen(fmt::format("127.0.0.1:{}", ntohs(address.sin_port)))));
}
