// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

using namespace gpuhost;

namespace {

UniqueFd Connect(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

std::string Ask(int port, const std::string& request) {
  const UniqueFd fd = Connect(port);
  REQUIRE(::write(fd.get(), request.data(), request.size()) ==
          static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[1024];
  for (ssize_t got; (got = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

std::string Get(int port, const std::string& path) {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

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
