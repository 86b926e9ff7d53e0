// SPDX-License-Identifier: Apache-2.0
//
// Against a stand-in for systemd's own socket, which speaks the same D-Bus.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "daemons/kata-manager/services.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

constexpr const char* kObject = "/org/freedesktop/systemd1";
constexpr const char* kUnit = "/org/freedesktop/systemd1/unit/containerd_2eservice";

// Serves one connection after the other until it is gone.
class Systemd {
 public:
  explicit Systemd(std::string result) : result_(std::move(result)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Systemd() {
    ended_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string path() const { return root_.path() + "/private"; }
  std::string Asked() const { return asked_; }

 private:
  void Serve() {
    while (!ended_) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      sd_bus* bus = nullptr;
      sd_id128_t id{};
      sd_bus_new(&bus);
      sd_bus_set_fd(bus, fd, fd);
      sd_bus_set_server(bus, 1, id);
      sd_bus_set_anonymous(bus, 1);
      sd_bus_add_filter(bus, nullptr, &Systemd::Answer, this);
      sd_bus_start(bus);
      while (!ended_) {
        const int done = sd_bus_process(bus, nullptr);
        if (done < 0) break;
        if (done == 0) sd_bus_wait(bus, 20'000);
      }
      sd_bus_flush_close_unref(bus);
    }
  }

  static int Answer(sd_bus_message* message, void* target, sd_bus_error*) {
    return static_cast<Systemd*>(target)->Handle(message);
  }

  int Handle(sd_bus_message* message) {
    sd_bus* bus = sd_bus_message_get_bus(message);
    const char* member = sd_bus_message_get_member(message);
    const std::string method = member == nullptr ? "" : member;
    const char *first = "", *second = "";
    if (method == "Subscribe") return sd_bus_reply_method_return(message, nullptr);
    if (method == "Get") {
      sd_bus_message_read(message, "ss", &first, &second);
      const std::string property = second;
      if (property == "LoadState") return Reply(message, "s", "loaded");
      if (property == "ActiveState") return Reply(message, "s", "active");
      if (property == "KillMode") return Reply(message, "s", "process");
      if (property == "MainPID") return sd_bus_reply_method_return(message, "v", "u", 42u);
      if (property == "Environment") {
        return sd_bus_reply_method_return(message, "v", "as", 1, "FILE=/x/config.toml");
      }
      if (property == "ExecStart") {
        const uint64_t none = 0;
        return sd_bus_reply_method_return(message, "v", "a(sasbttttuii)", 1, "/usr/bin/containerd",
                                          3, "@containerd", "--config", "${FILE}", 0, none, none,
                                          none, none, 42u, 0, 0);
      }
      if (property == "NRestarts") return sd_bus_reply_method_return(message, "v", "u", 3u);
      return sd_bus_reply_method_return(message, "v", "t", uint64_t{1'700'000'000'000'000});
    }
    if (method != "LoadUnit" && method != "RestartUnit") return 0;
    sd_bus_message_read(message, "s", &first);
    asked_ = method + " " + first;
    if (std::string(first) != "containerd.service") {
      return sd_bus_reply_method_errorf(message, "org.freedesktop.systemd1.NoSuchUnit",
                                        "Unit %s not found.", first);
    }
    if (method == "LoadUnit") return sd_bus_reply_method_return(message, "o", kUnit);
    if (result_ == "never") return sd_bus_reply_method_return(message, "o", "/job/7");
    // Another job's end, and this one's before the answer to the call.
    Removed(bus, "/job/6", "failed");
    Removed(bus, "/job/7", result_.c_str());
    return sd_bus_reply_method_return(message, "o", "/job/7");
  }

  static int Reply(sd_bus_message* message, const char* type, const char* value) {
    return sd_bus_reply_method_return(message, "v", type, value);
  }
  static void Removed(sd_bus* bus, const char* job, const char* result) {
    sd_bus_emit_signal(bus, kObject, "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 7u,
                       job, "containerd.service", result);
  }

  fake::TempRoot root_;
  const std::string result_;
  std::string asked_;
  int listener_ = -1;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

std::unique_ptr<Services> Ask(const Systemd& systemd, int stop = -1) {
  return SystemdServices("unix:path=" + systemd.path(), stop);
}

}  // namespace

TEST_CASE("a unit as systemd has it") {
  const Systemd systemd("done");
  const auto unit = Ask(systemd)->Look("containerd.service");
  INFO(Text(unit.status()));
  REQUIRE(unit.ok());
  CHECK(unit->active);
  CHECK(unit->kill_mode == "process");
  CHECK(unit->active_since == 1'700'000'000);
  CHECK(unit->restarts == 3);
  CHECK(unit->state == "active");
  CHECK(unit->main_pid == 42);
  CHECK(unit->command ==
        std::vector<std::string>{"/usr/bin/containerd", "--config", "/x/config.toml"});
  CHECK(absl::IsNotFound(Ask(systemd)->Look("k3s.service").status()));
}

TEST_CASE("a restart ends with its job") {
  const std::string result = GENERATE("done", "skipped", "failed", "dependency", "canceled");
  const Systemd systemd(result);
  const absl::Status status = Ask(systemd)->Restart("containerd.service", std::chrono::seconds(60));
  INFO(Text(status));
  CHECK(status.ok() == (result == "done" || result == "skipped"));
  if (!status.ok()) CHECK_THAT(Text(status), Catch::Contains("'" + result + "'"));
  CHECK(systemd.Asked() == "RestartUnit containerd.service");
}

TEST_CASE("a job that does not end, and a process that is to end meanwhile") {
  const Systemd systemd("never");
  CHECK(absl::IsDeadlineExceeded(
      Ask(systemd)->Restart("containerd.service", std::chrono::milliseconds(1))));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(absl::IsCancelled(
      Ask(systemd, ends[0])->Restart("containerd.service", std::chrono::seconds(60))));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("no systemd") {
  CHECK(absl::IsUnavailable(
      SystemdServices("unix:path=/nowhere", -1)->Look("containerd.service").status()));
}
