// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {
namespace {

constexpr int kClientLimit = 5;  // seconds without a word from a client
constexpr ev_ssize_t kLongestHead = 8192;

using EventBase = std::unique_ptr<event_base, decltype(&::event_base_free)>;
using EventHttp = std::unique_ptr<evhttp, decltype(&::evhttp_free)>;
using EventBuffer = std::unique_ptr<evbuffer, decltype(&::evbuffer_free)>;

void Reply(evhttp_request* request, int code, const std::string& text) {
  const EventBuffer body(::evbuffer_new(), &::evbuffer_free);
  ::evbuffer_add(body.get(), text.data(), text.size());
  ::evhttp_add_header(::evhttp_request_get_output_headers(request), "Content-Type",
                      "text/plain; version=0.0.4");
  ::evhttp_send_reply(request, code, nullptr, body.get());
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
  explicit Server(Answers answers)
      : answers_(std::move(answers)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        base_(::event_base_new(), &::event_base_free),
        http_(::evhttp_new(base_.get()), &::evhttp_free) {
    ::evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET);
    ::evhttp_set_max_headers_size(http_.get(), kLongestHead);
    ::evhttp_set_max_body_size(http_.get(), 0);
    ::evhttp_set_timeout(http_.get(), kClientLimit);
    ::evhttp_set_gencb(
        http_.get(),
        [](evhttp_request* request, void*) {
          Reply(request, HTTP_NOTFOUND, "there are /metrics, /healthz and /readyz\n");
        },
        nullptr);
    ::evhttp_set_cb(
        http_.get(), "/metrics",
        [](evhttp_request* request, void* metrics) {
          Reply(request, HTTP_OK, static_cast<const Metrics*>(metrics)->Render());
        },
        const_cast<Metrics*>(&answers_.metrics));
    Probe("/healthz", answers_.healthy);
    Probe("/readyz", answers_.ready);
  }

  ~Server() override {
    ::eventfd_write(stop_.get(), 1);
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start(const std::string& host, uint16_t port) {
    evhttp_bound_socket* const bound =
        ::evhttp_bind_socket_with_handle(http_.get(), host.c_str(), port);
    if (bound == nullptr) {
      return Error(absl::StatusCode::kUnavailable,
                   "listen on {} port {}: {}; is the port taken, is the address ours?", host, port,
                   std::strerror(errno));
    }
    port_ = PortOf(::evhttp_bound_socket_get_fd(bound));
    ::event_base_once(
        base_.get(), stop_.get(), EV_READ,
        [](evutil_socket_t, short, void* base) {
          ::event_base_loopbreak(static_cast<event_base*>(base));
        },
        base_.get(), nullptr);
    thread_ = std::thread([this] { ::event_base_dispatch(base_.get()); });
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  void Probe(const char* path, std::function<bool()>& good) {
    ::evhttp_set_cb(
        http_.get(), path,
        [](evhttp_request* request, void* its) {
          const bool is_good = (*static_cast<std::function<bool()>*>(its))();
          Reply(request, is_good ? HTTP_OK : HTTP_SERVUNAVAIL, is_good ? "ok\n" : "not yet\n");
        },
        &good);
  }

  Answers answers_;
  const UniqueFd stop_;
  const EventBase base_;
  const EventHttp http_;
  int port_ = -1;
  std::thread thread_;  // the only one that uses base_ and http_ once it runs
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
  auto server = std::make_unique<Server>(std::move(answers));
  GPUHOST_TRY(server->Start(host, static_cast<uint16_t>(*port)));
  return server;
}

}  // namespace gpuhost::service
