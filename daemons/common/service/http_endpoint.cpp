// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "daemons/common/service/http_request.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {
namespace {

constexpr int kWaiting = 16;  // connections not accepted yet
// A client is served alone and within this, so that none can keep the others waiting.
constexpr std::chrono::seconds kClientLimit(2);

absl::StatusOr<UniqueFd> ListenOn(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, [](addrinfo* list) {
    if (list != nullptr) ::freeaddrinfo(list);
  });
  if (error != 0) {
    return Error(absl::StatusCode::kUnavailable, "listen on {}: {}", host, ::gai_strerror(error));
  }
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(fd.get(), kWaiting) != 0) {
    return Error(absl::StatusCode::kUnavailable, "listen on {} port {}: {}; give another", host,
                 port, ::strerror(errno));
  }
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  const in_port_t port = address.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                             : reinterpret_cast<const sockaddr_in&>(address).sin_port;
  return ntohs(port);
}

class Server final : public HttpEndpoint {
 public:
  Server(Answers answers, UniqueFd listening)
      : answers_(std::move(answers)),
        listening_(std::move(listening)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        port_(PortOf(listening_.get())),
        thread_([this] { Serve(); }) {}

  ~Server() override {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  int port() const override { return port_; }

 private:
  void Serve() {
    while (!WaitReadable({stop_.get(), listening_.get()}, std::nullopt)[0]) {
      const UniqueFd client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client) Converse(client.get());
    }
  }

  // Reads one request, answers, and ends the connection.
  void Converse(int client) {
    std::string text;
    std::optional<HttpRequest> request;
    const TimePoint deadline = clock_.Now() + kClientLimit;
    while (!(request = ParseHttpRequest(text))) {
      if (!Wait(client, deadline)) return;
      std::array<char, 1024> bytes;
      const ssize_t count = ::recv(client, bytes.data(), bytes.size(), 0);
      if (count <= 0) return;
      text.append(bytes.data(), static_cast<size_t>(count));
    }
    Send(client, RenderHttpAnswer(Answer(*request)));
  }

  // False when the client has said nothing until `deadline`, or it is time to end.
  bool Wait(int client, TimePoint deadline) {
    const auto readable = WaitReadable({stop_.get(), client}, deadline - clock_.Now());
    return !readable[0] && readable[1];
  }

  static void Send(int client, std::string_view answer) {
    const timeval limit{.tv_sec = kClientLimit.count(), .tv_usec = 0};
    ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (!answer.empty()) {
      const ssize_t count = ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      answer.remove_prefix(static_cast<size_t>(count));
    }
  }

  HttpAnswer Answer(const HttpRequest& request) const {
    if (request.method.empty()) return {400, "no request of HTTP\n"};
    if (request.method != "GET") return {405, "only GET is answered\n"};
    if (request.path == "/metrics") return {200, answers_.metrics.Render()};
    if (request.path == "/healthz") return Probe(answers_.healthy());
    if (request.path == "/readyz") return Probe(answers_.ready());
    return {404, "there are /metrics, /healthz and /readyz\n"};
  }
  static HttpAnswer Probe(bool good) {
    return good ? HttpAnswer{200, "ok\n"} : HttpAnswer{503, "not yet\n"};
  }

  const Answers answers_;
  const UniqueFd listening_, stop_;
  const int port_;
  SystemClock clock_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Listen(const std::string& address,
                                                                   Answers answers) {
  const size_t colon = address.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseDecimal(address.substr(colon + 1), 65535);
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!port || host.empty()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "listen on '{}': give an address and a port, like 127.0.0.1:9400", address);
  }
  GPUHOST_ASSIGN(UniqueFd listening, ListenOn(host, std::to_string(*port)));
  return std::make_unique<Server>(std::move(answers), std::move(listening));
}

}  // namespace gpuhost::service
