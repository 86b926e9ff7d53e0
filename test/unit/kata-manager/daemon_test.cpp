// SPDX-License-Identifier: Apache-2.0
//
// The whole daemon on a node whose clock stands still: what it does, it does because it was told.
#include "daemons/kata-manager/daemon.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

constexpr const char* kBare = "version = 2\n";

sockaddr_in Local(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = Local(0);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

// Runs until the object goes. Signals reach the daemon alone.
class Running {
 public:
  // `restarts`: called while containerd is being restarted.
  explicit Running(const std::function<void(Running&)>& restarts = {}) {
    if (restarts) {
      node.services.started = [this, restarts, before = node.services.started] {
        before();
        restarts(*this);
      };
    }
    ::pthread_sigmask(SIG_BLOCK, nullptr, &before_);
    node.root.File(kMain, kBare);
    node.root.File(node.options.config_path, kOneClass);
    node.options.http_address = fmt::format("127.0.0.1:{}", port_);
    stop_.emplace(*service::StopSignal::Block());
    reload_.emplace(*service::ReloadSignal::Block());
    thread_ = std::thread([this] {
      Deps deps = node.deps();
      status_ = RunDaemon(deps, node.options, *stop_);
    });
  }
  ~Running() {
    ::kill(::getpid(), SIGTERM);
    thread_.join();
    CHECK(status_ == 0);
    timespec none{};
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    ::sigtimedwait(&taken, nullptr, &none);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  void Reload() { ::kill(::getpid(), SIGHUP); }
  bool Eventually(const std::function<bool()>& holds) {
    SystemClock clock;
    return PollUntil(clock, std::chrono::minutes(2), std::chrono::milliseconds(20),
                     [&] { return absl::StatusOr<bool>(holds()); })
        .ok();
  }
  bool HasHandler() { return node.Content(kMain).find("kata-x") != std::string::npos; }
  bool HasReason(const std::string& words) {
    const auto document = service::ReadStatusDocument(node.kernel, "kata-manager");
    return document.ok() && document->reason.find(words) != std::string::npos;
  }
  bool IsSteady() {
    const auto document = service::ReadStatusDocument(node.kernel, "kata-manager");
    return document.ok() && document->phase == "steady";
  }

  bool IsReady() { return Answers("/readyz"); }
  bool IsHealthy() { return Answers("/healthz"); }
  bool Answers(const std::string& path) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address = Local(port_);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return false;
    }
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    REQUIRE(::write(fd.get(), request.data(), request.size()) > 0);
    std::string answer(256, ' ');
    return ::read(fd.get(), answer.data(), answer.size()) > 0 && answer.find(" 200 ") < 16;
  }

  KataNode node;

 private:
  const int port_ = FreePort();
  sigset_t before_{};
  std::optional<service::StopSignal> stop_;
  std::optional<service::ReloadSignal> reload_;
  int status_ = -1;
  std::thread thread_;
};

}  // namespace

TEST_CASE("an edit is seen when it is made, a fight is given up, and SIGHUP takes it up again") {
  Running running;
  const auto has_handler = [&] { return running.HasHandler(); };
  const auto is_ready = [&] { return running.IsReady(); };
  REQUIRE(running.Eventually([&] { return running.IsSteady(); }));
  CHECK(running.Eventually(is_ready));
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    running.node.root.File(kMain, kBare);
    REQUIRE(running.Eventually(has_handler));
  }
  running.node.root.File(kMain, kBare);
  REQUIRE(running.Eventually([&] { return running.HasReason("it is left alone"); }));
  CHECK_FALSE(running.HasHandler());
  CHECK(running.Eventually([&] { return !running.IsReady(); }));
  running.Reload();
  CHECK(running.Eventually(has_handler));
  CHECK(running.Eventually([&] { return running.IsSteady(); }));
  CHECK(running.Eventually(is_ready));
}

TEST_CASE("a configuration that goes away or is no YAML keeps what there is, and is told of") {
  Running running;
  const std::string path = running.node.options.config_path;
  REQUIRE(running.Eventually([&] { return running.IsSteady(); }));
  REQUIRE(running.Eventually([&] { return running.IsReady(); }));
  const auto told = [&](const char* words) {
    running.Reload();
    CHECK(running.Eventually([&] { return running.HasReason(words); }));
    CHECK(running.Eventually([&] { return !running.IsReady(); }));
    CHECK(running.HasHandler());
  };
  running.node.root.Remove(path);
  told("is not there; all stays as it is");
  running.node.root.File(path, "");
  told("is empty; all stays as it is");
  running.node.root.File(path, "runtimeClasses: [\n");
  told("kata-manager.yaml:2:1");
  running.node.root.File(path, kOneClass);
  running.Reload();
  CHECK(running.Eventually([&] { return running.IsSteady() && running.IsReady(); }));
}

TEST_CASE("a step of a pass that does not end is no health") {
  std::atomic<int> asked = 0, healthy = 0;
  Running running([&](Running& self) {
    ++asked;
    healthy += self.IsHealthy() ? 1 : 0;
    self.node.clock.Pass(std::chrono::minutes(21));
    healthy += self.IsHealthy() ? 10 : 0;
  });
  REQUIRE(running.Eventually([&] { return running.IsSteady(); }));
  CHECK(asked == 1);
  CHECK(healthy == 1);
  CHECK(running.Eventually([&] { return running.IsHealthy(); }));
}
