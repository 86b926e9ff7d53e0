// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_endpoint.h"

#include <httplib.h>

#include <thread>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

constexpr size_t kThreads = 2;

class Server final : public HttpEndpoint {
 public:
  explicit Server(Answers answers) : answers_(std::move(answers)) {
    http_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    http_.set_payload_max_length(0);
    http_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(answers_.metrics.Render(), "text/plain; version=0.0.4");
    });
    Probe("/healthz", answers_.healthy);
    Probe("/readyz", answers_.ready);
  }

  ~Server() override {
    http_.stop();
    if (listener_.joinable()) listener_.join();
  }

  absl::Status Start(const std::string& host, uint16_t port) {
    port_ = port == 0 ? http_.bind_to_any_port(host.c_str())
                      : (http_.bind_to_port(host.c_str(), port) ? port : -1);
    if (port_ < 0) {
      return Error(absl::StatusCode::kUnavailable,
                   "listen on {} port {}: not possible; is the port taken, is the address ours?",
                   host, port);
    }
    listener_ = std::thread([this] { http_.listen_after_bind(); });
    while (!http_.is_running()) std::this_thread::yield();
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  void Probe(const char* path, const std::function<bool()>& good) {
    http_.Get(path, [&good](const httplib::Request&, httplib::Response& response) {
      const bool is_good = good();
      response.status = is_good ? 200 : 503;
      response.set_content(is_good ? "ok\n" : "not yet\n", "text/plain");
    });
  }

  Answers answers_;
  httplib::Server http_;
  std::thread listener_;
  int port_ = -1;
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
