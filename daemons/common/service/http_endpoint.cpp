// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <thread>

#include "daemons/common/service/http_request.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {
namespace {

constexpr timeval kPauseWithoutDescriptors{.tv_sec = 1, .tv_usec = 0};
constexpr int kBacklog = 16;

timeval ToTimeval(Duration duration) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return {.tv_sec = micros / 1'000'000, .tv_usec = micros % 1'000'000};
}

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Base = std::unique_ptr<event_base, Freed<::event_base_free>>;
using Event = std::unique_ptr<event, Freed<::event_free>>;
using Listener = std::unique_ptr<evconnlistener, Freed<::evconnlistener_free>>;
using Buffered = std::unique_ptr<bufferevent, Freed<::bufferevent_free>>;
using Addresses = std::unique_ptr<addrinfo, Freed<::freeaddrinfo>>;

// The address without its port.
std::string PeerOf(const sockaddr* address) {
  if (address->sa_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(address);
    return std::string(reinterpret_cast<const char*>(&six->sin6_addr), sizeof six->sin6_addr);
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(address);
  return std::string(reinterpret_cast<const char*>(&four->sin_addr), sizeof four->sin_addr);
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
  Server(Answers answers, const Limits& limits)
      : answers_(std::move(answers)),
        limits_(limits),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        base_(::event_base_new()) {
    ::event_set_log_callback([](int, const char* text) {
      Log(Level::kDebug, "libevent", {{"text", text}});
    });
  }

  ~Server() override {
    ::eventfd_write(stop_.get(), 1);
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start(const std::string& host, const std::string& port) {
    const addrinfo hints{.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
                         .ai_family = AF_UNSPEC,
                         .ai_socktype = SOCK_STREAM};
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
      return Error(absl::StatusCode::kUnavailable, "listen on '{}': {}; give an address of ours",
                   host, ::gai_strerror(error));
    }
    const Addresses addresses(found);
    listener_.reset(
        ::evconnlistener_new_bind(base_.get(), &Accept, this,
                                  LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                  kBacklog, found->ai_addr, static_cast<int>(found->ai_addrlen)));
    if (!listener_) {
      return Error(absl::StatusCode::kUnavailable,
                   "listen on {} port {}: {}; is the port taken, is the address ours?", host, port,
                   std::strerror(errno));
    }
    port_ = PortOf(::evconnlistener_get_fd(listener_.get()));
    ::evconnlistener_set_error_cb(listener_.get(), &NoDescriptors);
    resume_.reset(::event_new(base_.get(), -1, 0, &Resume, this));
    stopping_.reset(::event_new(base_.get(), stop_.get(), EV_READ, &Stop, this));
    ::event_add(stopping_.get(), nullptr);
    thread_ = std::thread([this] { ::event_base_dispatch(base_.get()); });
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  struct Connection {
    Server& server;
    std::string peer;
    Buffered stream = {};
    Event deadline = {};
    bool answered = false;
  };

  static void Accept(evconnlistener*, evutil_socket_t fd, sockaddr* address, int, void* self) {
    static_cast<Server*>(self)->Take(UniqueFd(static_cast<int>(fd)), PeerOf(address));
  }
  // Accepting fails as this process has no descriptor left; trying on at once would be a loop.
  static void NoDescriptors(evconnlistener* listener, void* self) {
    ::evconnlistener_disable(listener);
    ::event_add(static_cast<Server*>(self)->resume_.get(), &kPauseWithoutDescriptors);
  }
  static void Resume(evutil_socket_t, short, void* self) {
    ::evconnlistener_enable(static_cast<Server*>(self)->listener_.get());
  }
  static void Stop(evutil_socket_t, short, void* self) {
    ::event_base_loopbreak(static_cast<Server*>(self)->base_.get());
  }

  void Take(UniqueFd fd, std::string peer) {
    const auto of_peer = std::ranges::count(connections_, peer, &Connection::peer);
    if (connections_.size() >= limits_.connections ||
        static_cast<size_t>(of_peer) >= limits_.of_one_address) {
      return;
    }
    Connection& one = connections_.emplace_back(Connection{*this, std::move(peer)});
    one.stream.reset(::bufferevent_socket_new(base_.get(), fd.get(), BEV_OPT_CLOSE_ON_FREE));
    if (!one.stream) return connections_.pop_back();
    fd.Release();
    ::bufferevent_setcb(
        one.stream.get(), [](bufferevent*, void* its) { Read(*static_cast<Connection*>(its)); },
        [](bufferevent*, void* its) { Written(*static_cast<Connection*>(its)); },
        [](bufferevent*, short, void* its) { Forget(*static_cast<Connection*>(its)); }, &one);
    one.deadline.reset(::event_new(
        base_.get(), -1, 0,
        [](evutil_socket_t, short, void* its) { Forget(*static_cast<Connection*>(its)); }, &one));
    const timeval limit = ToTimeval(limits_.whole_request);
    ::event_add(one.deadline.get(), &limit);
    ::bufferevent_enable(one.stream.get(), EV_READ | EV_WRITE);
  }

  static void Forget(Connection& connection) {
    connection.server.connections_.remove_if(
        [&](const Connection& other) { return &other == &connection; });
  }

  static void Read(Connection& connection) {
    evbuffer* const input = ::bufferevent_get_input(connection.stream.get());
    const size_t size = ::evbuffer_get_length(input);
    if (connection.answered) {
      ::evbuffer_drain(input, size);
      return;
    }
    const auto* bytes = reinterpret_cast<const char*>(::evbuffer_pullup(input, -1));
    const RequestHead head = ParseRequestHead({bytes, size});
    if (head.kind == RequestHead::Kind::kIncomplete) return;
    connection.answered = true;
    ::evbuffer_drain(input, size);
    const std::string answer = connection.server.AnswerTo(head);
    ::bufferevent_write(connection.stream.get(), answer.data(), answer.size());
  }

  // The client ends the connection, for whom we ended it first might lose the answer: RFC
  // 9112, 9.6.
  static void Written(Connection& connection) {
    if (connection.answered) ::shutdown(::bufferevent_getfd(connection.stream.get()), SHUT_WR);
  }

  std::string AnswerTo(const RequestHead& head) const {
    const auto probe = [](const std::function<bool()>& good) {
      const bool is_good = good();
      return is_good ? RenderResponse(200, "ok\n") : RenderResponse(503, "not yet\n");
    };
    if (head.kind == RequestHead::Kind::kInvalid) return RenderResponse(400, "no HTTP request\n");
    if (head.method != "GET") return RenderResponse(405, "GET alone is answered\n");
    if (head.path == "/metrics") return RenderResponse(200, answers_.metrics.Render());
    if (head.path == "/healthz") return probe(answers_.healthy);
    if (head.path == "/readyz") return probe(answers_.ready);
    return RenderResponse(404, "there are /metrics, /healthz and /readyz\n");
  }

  const Answers answers_;
  const Limits limits_;
  const UniqueFd stop_;
  const Base base_;
  Listener listener_;
  Event resume_, stopping_;
  std::list<Connection> connections_;
  int port_ = -1;
  std::thread thread_;  // the only one that uses base_ and what follows once it runs
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Listen(const std::string& address,
                                                                   Answers answers,
                                                                   const Limits& limits) {
  const size_t colon = address.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseDecimal(address.substr(colon + 1), 65535);
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!port || host.empty()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "listen on '{}': give an address and a port, like 127.0.0.1:9400", address);
  }
  auto server = std::make_unique<Server>(std::move(answers), limits);
  GPUHOST_TRY(server->Start(host, std::to_string(*port)));
  return server;
}

}  // namespace gpuhost::service
