// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/common/service/status_document.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

TEST_CASE("a status document is read back, and its generation grows") {
  fake::TempRoot root;
  HostFs fs(root.path());
  CHECK(absl::IsNotFound(service::ReadStatusDocument(fs, "cc-manager").status()));
  const service::StatusDocument document{
      .daemon = "cc-manager",
      .phase = "failed",
      .target = "on",
      .transition = "7",
      .reason = "waits",
      .devices = {
          {"0000:01:00.0", "off", "on", "bad \"text\" \xff\n", true, "armed", {{"ns/pod/main"}}},
          {"0000:02:00.0", "on"}}};
  REQUIRE(service::Publish(fs, document).ok());
  REQUIRE(service::Publish(fs, document).ok());
  const auto read = service::ReadStatusDocument(fs, "cc-manager");
  REQUIRE(read.ok());
  CHECK(read->generation == 2);
  CHECK(read->phase == "failed");
  CHECK(read->transition == "7");
  CHECK(read->reason == "waits");
  REQUIRE(read->devices.size() == 2);
  CHECK(read->devices[0].bdf == "0000:01:00.0");
  CHECK(read->devices[0].pending == "on");
  CHECK(read->devices[0].withdraw);
  CHECK(read->devices[0].users == std::vector<std::string>{"ns/pod/main"});
  CHECK_FALSE(read->devices[1].withdraw);
  CHECK(!read->devices[1].users);
  CHECK(read->devices[0].unusable == "armed");
}

TEST_CASE("a file that is no status document is refused and then replaced") {
  fake::TempRoot root;
  HostFs fs(root.path());
  for (const char* text : {"", "{", "[]", "{\"schema\":2,\"generation\":1,\"devices\":[]}",
                           "{\"schema\":1,\"generation\":-1,\"devices\":[]}",
                           "{\"schema\":1,\"generation\":1,\"devices\":{}}"}) {
    CAPTURE(text);
    root.File("/run/nvidia/gpuhost/x.json", text);
    CHECK(absl::IsDataLoss(service::ReadStatusDocument(fs, "x").status()));
  }
  CHECK(service::Publish(fs, {.daemon = "x"}).ok());
  CHECK(service::ReadStatusDocument(fs, "x").ok());
}

// systemd 252 takes each line of a message for an assignment, drops a message of more than 4096
// bytes, READY=1 with it, and a status that is not UTF-8.
TEST_CASE("what comes from outside cannot say more than a status, nor make it too long") {
  const auto render = [](std::string_view status) {
    return service::Render({.ready = true, .status = status});
  };
  CHECK(render("bad digest x\nSTOPPING=1\nMAINPID=1\rX") ==
        "READY=1\nSTATUS=bad digest x?STOPPING=1?MAINPID=1?X");
  CHECK(render(std::string(1, '\0') + "a\x7f") == "READY=1\nSTATUS=?a?");
  CHECK(render("gr\xc3\xb6\xc3 \xed\xa0\x80") == "READY=1\nSTATUS=gr\xc3\xb6? ???");
  std::string many = "x";
  for (int i = 0; i < 3000; ++i) many += "\xe2\x82\xac";
  const std::string line = render(many);
  CHECK(line.size() <= 4096);
  CHECK(line.ends_with("\xe2\x82\xac"));
  CHECK(service::Render({.stopping = true}) == "STOPPING=1\n");
  CHECK(service::Render({.watchdog = true}) == "WATCHDOG=1\n");
}

TEST_CASE("the service manager is told, and its absence is no error") {
  fake::TempRoot root;
  const std::string path = root.Of("/notify").string();
  const UniqueFd server(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  service::Notify({.ready = true});
  char text[64];
  const ssize_t size = ::recv(server.get(), text, sizeof text, MSG_DONTWAIT);
  CHECK(std::string(text, static_cast<size_t>(std::max<ssize_t>(size, 0))) == "READY=1\n");
  ::unsetenv("NOTIFY_SOCKET");
  service::Notify({.ready = true});
  CHECK(::recv(server.get(), text, sizeof text, MSG_DONTWAIT) < 0);
}

TEST_CASE("SIGTERM ends a wait and stays readable") {
  const auto stop = service::StopSignal::Block();
  REQUIRE(stop.ok());
  CHECK_FALSE(service::WaitReadable({stop->fd()}, Duration::zero())[0]);
  ::raise(SIGTERM);
  CHECK(service::WaitReadable({stop->fd()}, std::nullopt)[0]);
  CHECK(service::WaitReadable({stop->fd()}, std::nullopt)[0]);
}
