// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/server.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "daemons/sandbox-device-plugin/kubelet.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/stand_in.h"
#include "test/unit/sandbox-device-plugin/dead_socket.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);

struct Bench {
  Bench() {
    auto started = kubelet::StandIn::Start(root.path(), [](const std::string&) {});
    REQUIRE(started.ok());
    kubelet = *std::move(started);
  }
  std::unique_ptr<Server> Start(const std::string& resource, const std::string& endpoint) {
    auto server = Server::Start(
        clock, {.resource = resource,
                .socket = root.path() + "/" + endpoint,
                .find = [](const pci::Bdf&) { return absl::NotFoundError("no devices here"); }});
    REQUIRE(server.ok());
    return *std::move(server);
  }
  absl::Status Register(const std::string& resource, const std::string& endpoint) {
    return sandbox_device_plugin::Register(root.path() + "/kubelet.sock", endpoint, resource,
                                           kGenerous);
  }
  bool Lists(const std::string& resource, size_t count) const {
    return kubelet->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
      const auto found = resources.find(resource);
      return found != resources.end() && found->second.devices.size() == count;
    });
  }

  fake::FakeClock clock;
  fake::TempRoot root;
  std::unique_ptr<kubelet::StandIn> kubelet;
};

std::vector<Listed> Units(size_t count) {
  std::vector<Listed> listed;
  for (size_t i = 0; i < count; ++i) listed.push_back({{.id = std::to_string(i)}, {}});
  return listed;
}

}  // namespace

TEST_CASE("the last of many lists arrives") {
  Bench bench;
  const auto server = bench.Start("nvidia.com/a", "a.sock");
  REQUIRE(bench.Register("nvidia.com/a", "a.sock").ok());
  for (size_t i = 1; i <= 500; ++i) server->Publish(Units(i % 7));
  server->Publish(Units(64));
  CHECK(bench.Lists("nvidia.com/a", 64));
}

TEST_CASE("each resource has a server, and each stream every list") {
  Bench bench;
  const auto a = bench.Start("nvidia.com/a", "a.sock"), b = bench.Start("nvidia.com/b", "b.sock");
  a->Publish(Units(1));
  b->Publish(Units(2));
  REQUIRE(bench.Register("nvidia.com/a", "a.sock").ok());
  REQUIRE(bench.Register("nvidia.com/b", "b.sock").ok());
  REQUIRE(bench.Register("nvidia.com/c", "b.sock").ok());  // a second stream of the same server
  CHECK(bench.Lists("nvidia.com/a", 1));
  CHECK(bench.Lists("nvidia.com/b", 2));
  CHECK(bench.Lists("nvidia.com/c", 2));
  b->Publish(Units(3));
  CHECK(bench.Lists("nvidia.com/b", 3));
  CHECK(bench.Lists("nvidia.com/c", 3));
  CHECK(bench.kubelet->resources().at("nvidia.com/a").devices.size() == 1);
}

TEST_CASE("a server outlives a kubelet that goes away in the middle") {
  Bench bench;
  const auto server = bench.Start("nvidia.com/a", "a.sock");
  REQUIRE(bench.Register("nvidia.com/a", "a.sock").ok());
  server->Publish(Units(3));
  REQUIRE(bench.Lists("nvidia.com/a", 3));
  bench.kubelet.reset();
  for (size_t i = 0; i < 100; ++i) server->Publish(Units(i));
}

TEST_CASE("the socket is for the kubelet alone and goes with the server") {
  Bench bench;
  const std::string socket = bench.root.path() + "/a.sock";
  {
    const auto server = bench.Start("nvidia.com/a", "a.sock");
    struct stat found {};
    REQUIRE(::stat(socket.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
  }
  CHECK_FALSE(bench.root.Exists("/a.sock"));
}

TEST_CASE("what cannot be served or registered is told with its path") {
  Bench bench;
  const auto server = Server::Start(
      bench.clock, {.resource = "nvidia.com/a", .socket = bench.root.path() + "/none/a.sock"});
  CHECK(absl::IsUnavailable(server.status()));
  const absl::Status refused = bench.Register("no-slash", "a.sock");
  CHECK(absl::IsInvalidArgument(refused));
  bench.kubelet.reset();
  const absl::Status absent = bench.Register("nvidia.com/a", "a.sock");
  CHECK(absl::IsUnavailable(absent));
  CHECK(Text(absent).find("register nvidia.com/a at " + bench.root.path()) == 0);
}

TEST_CASE("a kubelet is told from its successor") {
  fake::TempRoot root;
  const std::string socket = root.path() + "/kubelet.sock";
  CHECK_FALSE(FindKubelet(socket));
  root.File("/kubelet.sock", "no socket");
  CHECK_FALSE(FindKubelet(socket));
  root.Remove("/kubelet.sock");
  LeaveDeadSocket(socket);
  const auto first = FindKubelet(socket);
  REQUIRE(first);
  CHECK(FindKubelet(socket) == first);
  std::filesystem::rename(socket, socket + ".before");
  LeaveDeadSocket(socket);
  REQUIRE(FindKubelet(socket));
  CHECK(FindKubelet(socket) != first);
}
