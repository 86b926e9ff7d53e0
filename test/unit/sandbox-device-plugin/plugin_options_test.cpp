// SPDX-License-Identifier: Apache-2.0
//
// What the plugin does differently when told so, and what it is asked that nobody should ask.
#include <algorithm>
#include <catch2/catch.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/signals.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "daemons/sandbox-device-plugin/run.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/kubelet/stand_in.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";
constexpr Duration kGenerous = std::chrono::seconds(60);

using Strings = std::vector<std::string>;

// Two GPUs on vfio-pci in the groups 1 and 2.
struct Bench {
  Bench() {
    kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "vfio-pci"});
    kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "vfio-pci"});
    auto started =
        kubelet::StandIn::Start(root.Of(options.kubelet_dir).string(), [](const std::string&) {});
    REQUIRE(started.ok());
    kubelet = *std::move(started);
  }

  Plugin& Start() {
    plugin = std::make_unique<Plugin>(kernel, clock, watch, options);
    plugin->Reconcile();
    return *plugin;
  }
  bool Lists(const std::string& resource, const Strings& healthy) const {
    return kubelet->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
      const auto found = resources.find(resource);
      Strings ids;
      if (found == resources.end() || !found->second.connected) return false;
      for (const auto& device : found->second.devices) {
        if (device.healthy) ids.push_back(device.id);
      }
      return ids == healthy;
    });
  }
  Strings SocketsIn(const std::string& directory) const {
    Strings names = *kernel.List(directory);
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("sandbox-"); });
    return names;
  }
  // The kubelet remembers that a container has the device `id`.
  void Remember(const std::string& id) {
    root.File(options.kubelet_dir + "/kubelet_internal_checkpoint",
              fmt::format(R"({{"Data": {{"PodDeviceEntries": [{{"PodUID": "u", "ContainerName": "c",
                "ResourceName": "nvidia.com/pgpu", "DeviceIDs": {{"0": ["{}"]}}, "AllocResp": ""}}],
                "RegisteredDevices": {{}}}}, "Checksum": 1}})",
                          id));
  }

  Options options;
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  std::unique_ptr<kubelet::StandIn> kubelet;
  service::DirectoryWatch watch = *service::DirectoryWatch::Open();
  std::unique_ptr<Plugin> plugin;
};

}  // namespace

TEST_CASE("the plugin watcher finds the plugin, and hears of it once") {
  Bench bench;
  bench.options.plugin_watcher = true;
  Plugin& plugin = bench.Start();
  CHECK(bench.SocketsIn(bench.options.kubelet_dir).empty());
  const Strings sockets = bench.SocketsIn(bench.options.plugins_registry);
  REQUIRE(sockets.size() == 1);
  CHECK(plugin.Summary() == "nvidia.com/pgpu: 2 of 2 healthy, waiting for the kubelet");

  const std::string socket =
      bench.root.Of(bench.options.plugins_registry).string() + "/" + sockets[0];
  REQUIRE(bench.kubelet->Discover(socket).ok());
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
  plugin.Reconcile();
  CHECK(plugin.Summary() == "nvidia.com/pgpu: 2 of 2 healthy, registered");
  CHECK(bench.kubelet->Allocate(kPgpu, {"2"}).ok());
  CHECK(bench.SocketsIn(bench.options.plugins_registry) == sockets);
}

TEST_CASE("after a stream has ended, the plugin watcher finds another socket") {
  Bench bench;
  bench.options.plugin_watcher = true;
  Plugin& plugin = bench.Start();
  const Strings first = bench.SocketsIn(bench.options.plugins_registry);
  REQUIRE(first.size() == 1);
  const std::string directory = bench.root.Of(bench.options.plugins_registry).string() + "/";
  REQUIRE(bench.kubelet->Discover(directory + first[0]).ok());
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));

  bench.kubelet.reset();
  while (plugin.Resources().at(0).followed) {
    REQUIRE(service::WaitReadable({plugin.wakeup().fd()}, kGenerous)[0]);
    plugin.wakeup().Drain();
  }
  bench.clock.SleepFor(std::chrono::seconds(5));
  plugin.Reconcile();
  plugin.Reconcile();
  const Strings second = bench.SocketsIn(bench.options.plugins_registry);
  REQUIRE(second.size() == 1);
  CHECK(second != first);
}

TEST_CASE("a container for KubeVirt is told the addresses of its own devices") {
  Bench bench;
  CHECK(bench.Start().Resources().size() == 1);
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
  CHECK(bench.kubelet->Environment(kPgpu, {"1"})->empty());
  bench.plugin.reset();

  bench.options.environment = true;
  bench.Start();
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
  using Variables = std::map<std::string, std::string>;
  const std::string variable = "PCI_RESOURCE_NVIDIA_COM_PGPU";
  CHECK(*bench.kubelet->Environment(kPgpu, {"2", "1"}) ==
        Variables{{variable, "0000:02:00.0,0000:01:00.0"}});
  CHECK(*bench.kubelet->Environment(kPgpu, {"1"}) == Variables{{variable, "0000:01:00.0"}});
}

TEST_CASE("a plugin that stops can take its devices along") {
  for (const bool empty : {false, true}) {
    CAPTURE(empty);
    Bench bench;
    bench.options.empty_list_at_end = empty;
    bench.Start();
    REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
    bench.plugin.reset();
    REQUIRE(bench.kubelet->WaitFor(
        kGenerous, [](const auto& resources) { return !resources.at(kPgpu).connected; }));
    CHECK(bench.kubelet->resources().at(kPgpu).devices.size() == (empty ? 0 : 2));
  }
}

TEST_CASE("a device in use keeps its number until it is free") {
  Bench bench;
  bench.Remember("1");
  bench.options.ids = Ids::kAddress;
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists(kPgpu, {"1", "0000:02:00.0"}));
  CHECK_THAT(
      bench.root.Content("/var/run/cdi/nvidia.com-pgpu.yaml"),
      Contains("name: \"1\"") && Contains("name: \"0000:02:00.0\"") && !Contains("0000:01:00.0"));
  CHECK(bench.kubelet->Allocate(kPgpu, {"1"}).ok());
  CHECK(absl::IsInvalidArgument(bench.kubelet->Allocate(kPgpu, {"0000:01:00.0"}).status()));

  bench.Remember("0000:02:00.0");
  plugin.Reconcile();
  CHECK(bench.Lists(kPgpu, {"0000:01:00.0", "0000:02:00.0"}));
  bench.plugin.reset();

  // And the way back.
  bench.options.ids = Ids::kNumber;
  bench.Start();
  CHECK(bench.Lists(kPgpu, {"1", "0000:02:00.0"}));
}

TEST_CASE("while the node's labels hold devices back nobody is given any") {
  Bench bench;
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
  plugin.HoldAll("the mode is not what it should be");
  plugin.Reconcile();
  REQUIRE(bench.Lists(kPgpu, {}));
  CHECK_THAT(Text(bench.kubelet->Allocate(kPgpu, {"1"}).status()),
             Contains("the mode is not what it should be"));
  plugin.HoldAll("");
  plugin.Reconcile();
  CHECK(bench.Lists(kPgpu, {"1", "2"}));

  plugin.HoldAll("and in this moment the devices cannot be read");
  const auto devices = bench.root.Of("/sys/bus/pci/devices");
  std::filesystem::rename(devices, devices.string() + ".away");
  plugin.Reconcile();
  CHECK(bench.Lists(kPgpu, {}));
}

TEST_CASE("a resource may have a name of 63 characters") {
  Bench bench;
  const std::string name = "g" + std::string(61, '_') + "u";
  bench.options.naming = *Naming::Create(name, std::nullopt);
  bench.Start();
  const std::string full = FullName(name);
  REQUIRE(bench.Lists(full, {"1", "2"}));
  CHECK(bench.kubelet->Allocate(full, {"1"}).ok());
  CHECK(bench.root.Exists("/var/run/cdi/nvidia.com-" + name + ".yaml"));
  CHECK(absl::IsInvalidArgument(Naming::Create(name + "u", std::nullopt).status()));
}

TEST_CASE("a directory whose sockets would have too long a path is refused at start") {
  Bench bench;
  const std::string longest(
      106 - bench.root.path().size() - strlen("sandbox-00000000-00000000.sock"), 'd');
  bench.options.kubelet_dir = "/" + longest.substr(1);
  bench.Start();
  CHECK(bench.SocketsIn(bench.options.kubelet_dir).size() == 1);
  bench.plugin.reset();
  bench.options.kubelet_dir += "d";
  CHECK(RunDaemon(bench.kernel, bench.clock, bench.options) == service::kUsage);
}

TEST_CASE("ids that nobody has are refused over the socket with a text for people") {
  Bench bench;
  bench.Start();
  REQUIRE(bench.Lists(kPgpu, {"1", "2"}));
  for (const std::string& id :
       {std::string("3"), std::string(), std::string("\xc3\xa4"), std::string("1\n2"),
        std::string("../1"), std::string("1\0", 2), std::string("\x1b[31m"),
        std::string(1u << 20, '\xc3') + "\xa4", std::string("0000:01:00.0")}) {
    CAPTURE(id.substr(0, 20));
    const absl::Status refused = bench.kubelet->Allocate(kPgpu, {id}).status();
    CHECK_FALSE(refused.ok());
    CHECK(refused.message().size() < 200);
    CHECK(std::ranges::all_of(std::string(refused.message()),
                              [](char c) { return c >= ' ' && c <= '~'; }));
    CHECK_FALSE(bench.kubelet->PreStart(kPgpu, {id}).ok());
  }
  CHECK(*bench.kubelet->Prefer(kPgpu, {"\xc3\xa4", "1", "../2"}, 1) == Strings{"1"});
  CHECK(bench.kubelet->Allocate(kPgpu, {"1"}).ok());
}
