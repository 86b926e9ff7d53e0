// SPDX-License-Identifier: Apache-2.0
//
// The whole plugin against a kubelet over real gRPC, below one temporary directory.
#include "daemons/sandbox-device-plugin/plugin.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "daemons/common/service/signals.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/kubelet/stand_in.h"
#include "test/unit/sandbox-device-plugin/dead_socket.h"
#include "test/vgpu/board.h"
#include "test/vgpu/virtual_gpu.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";
const std::string kCdi = "/var/run/cdi/nvidia.com-pgpu.yaml";
constexpr Duration kGenerous = std::chrono::seconds(60);

using Devices = std::vector<kubelet::Device>;
using Strings = std::vector<std::string>;

const kubelet::Device kGpu2{"2", true, {0}}, kGpu10{"10", true, {1}};

kubelet::Device Unhealthy(kubelet::Device device) {
  device.healthy = false;
  return device;
}

// Two GPUs on vfio-pci in the groups 2 and 10, of NUMA nodes 0 and 1.
struct Bench {
  Bench() {
    kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 10, .driver = "vfio-pci"});
    kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "vfio-pci"});
    root.File("/sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n");
    StartKubelet();
  }

  void StartKubelet() {
    kubelet.reset();
    auto started =
        kubelet::StandIn::Start(root.Of(options.kubelet_dir).string(), [](const std::string&) {});
    REQUIRE(started.ok());
    kubelet = *std::move(started);
  }
  void Unbind() { root.Remove("/sys/bus/pci/devices/0000:01:00.0/driver"); }
  void Bind() { root.Link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci"); }

  bool Lists(const Devices& devices) const {
    return kubelet->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
      const auto found = resources.find(kPgpu);
      return found != resources.end() && found->second.connected &&
             found->second.devices == devices;
    });
  }
  // Waits until the kubelet's directory has changed, as the daemon does.
  void WaitForSockets() {
    do {
      REQUIRE(service::WaitReadable({watch.fd()}, kGenerous)[0]);
    } while (!watch.Drain());
  }
  auto Sockets() const {
    const auto names = kernel.List(options.kubelet_dir).value();
    return std::ranges::count_if(names, [](const auto& n) { return n.starts_with("sandbox-"); });
  }

  Options options;
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  std::unique_ptr<kubelet::StandIn> kubelet;
  service::DirectoryWatch watch = *service::DirectoryWatch::Open();
};

}  // namespace

TEST_CASE("the plugin registers, lists, and writes what CDI needs") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, kGpu10}));
  const kubelet::Resource pgpu = bench.kubelet->resources().at(kPgpu);
  CHECK(pgpu.registrations == 1);
  CHECK(pgpu.endpoint.starts_with("sandbox-pgpu-"));
  CHECK(pgpu.preferred_allocation);
  CHECK_FALSE(pgpu.pre_start);
  CHECK(bench.root.Content(kCdi).find("- name: \"2\"") != std::string::npos);
  CHECK(plugin.Summary() == "nvidia.com/pgpu: 2 of 2 healthy, registered");

  plugin.Reconcile();
  CHECK(bench.kubelet->resources().at(kPgpu).registrations == 1);
}

TEST_CASE("a container gets its nodes, and an error for what it cannot have") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  const auto specs = bench.kubelet->Allocate(kPgpu, {"10"});
  REQUIRE(specs.ok());
  CHECK(*specs == std::vector<kubelet::DeviceSpec>{{"/dev/vfio/vfio", "/dev/vfio/vfio", "mrw"},
                                                   {"/dev/vfio/10", "/dev/vfio/10", "mrw"}});
  CHECK(bench.kubelet->Allocate(kPgpu, {"2", "10"})->size() == 3);
  CHECK(absl::IsInvalidArgument(bench.kubelet->Allocate(kPgpu, {"11"}).status()));

  bench.Unbind();  // and the plugin has not seen it yet
  const absl::Status gone = bench.kubelet->Allocate(kPgpu, {"10"}).status();
  CHECK(absl::IsFailedPrecondition(gone));
  CHECK(Text(gone).find("nvidia.com/pgpu: 0000:01:00.0 has no driver") == 0);

  CHECK(*bench.kubelet->Prefer(kPgpu, {"10", "2"}, 1) == Strings{"2"});
  CHECK(bench.kubelet->Prefer(kPgpu, {"2", "10"}, 2)->size() == 2);
  CHECK(bench.kubelet->PreStart(kPgpu, {"2"}).ok());
}

TEST_CASE("a GPU that leaves vfio-pci is unhealthy until it is back") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, kGpu10}));
  bench.Unbind();
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, Unhealthy(kGpu10)}));
  CHECK(bench.root.Content(kCdi).find("\"10\"") == std::string::npos);
  CHECK(absl::IsFailedPrecondition(bench.kubelet->Allocate(kPgpu, {"10"}).status()));
  CHECK(plugin.Summary() == "nvidia.com/pgpu: 1 of 2 healthy, registered");

  bench.root.Remove("/sys/bus/pci/devices/0000:02:00.0");
  plugin.Reconcile();
  CHECK(bench.Lists({Unhealthy(kGpu2), Unhealthy(kGpu10)}));
  CHECK_FALSE(bench.root.Exists(kCdi));

  bench.Bind();
  CHECK(plugin.Reconcile() <= kSettleTime);
  CHECK(absl::IsFailedPrecondition(bench.kubelet->Allocate(kPgpu, {"10"}).status()));
  bench.clock.SleepFor(kSettleTime);
  plugin.Reconcile();
  CHECK(bench.Lists({Unhealthy(kGpu2), kGpu10}));
  CHECK(bench.kubelet->Allocate(kPgpu, {"10"}).ok());
}

TEST_CASE("the plugin comes back after the kubelet, which took its socket away") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, kGpu10}));
  const std::string endpoint = bench.kubelet->resources().at(kPgpu).endpoint;
  bench.watch.Drain();

  bench.StartKubelet();
  CHECK(bench.kubelet->resources().empty());
  bench.WaitForSockets();
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, kGpu10}));
  CHECK(bench.kubelet->resources().at(kPgpu).endpoint != endpoint);
  CHECK(bench.Sockets() == 1);
}

TEST_CASE("without a kubelet the plugin waits, and registers when it comes") {
  Bench bench;
  bench.kubelet.reset();
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  CHECK(bench.root.Exists(kCdi));
  CHECK(plugin.Summary() == "nvidia.com/pgpu: 2 of 2 healthy, waiting for the kubelet");
  bench.watch.Drain();
  bench.StartKubelet();
  bench.WaitForSockets();
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, kGpu10}));
}

TEST_CASE("a kubelet that does not answer is tried again soon") {
  Bench bench;
  bench.kubelet.reset();
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  LeaveDeadSocket(bench.root.Of(bench.options.kubelet_dir + "/kubelet.sock").string());
  CHECK(plugin.Reconcile() < std::chrono::milliseconds(100));
  const Duration later = plugin.Reconcile();
  CHECK(later > Backoff::kFirst);
  CHECK(later < Backoff::kLongest);
  bench.StartKubelet();
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, kGpu10}));
}

TEST_CASE("devices that no CDI file names are not offered") {
  Bench bench;
  bench.root.File("/var/run/cdi", "a file where the directory should be");
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  CHECK(bench.Lists({Unhealthy(kGpu2), Unhealthy(kGpu10)}));
  bench.root.Remove("/var/run/cdi");
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, kGpu10}));
}

TEST_CASE(
    "what goes leaves the list before the CDI file, what comes is in the file before the list") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  std::vector<size_t> offered;  // at the moment at which the file changes
  bench.kernel.FailWritesWhile([&](const std::string& path) {
    if (path == kCdi) {
      const auto resources = plugin.Resources();
      offered.push_back(
          static_cast<size_t>(std::ranges::count_if(resources.at(0).listed, &Listed::healthy)));
    }
    return false;
  });
  plugin.Reconcile();
  CHECK(offered == std::vector<size_t>{0});
  bench.Unbind();
  plugin.Reconcile();
  CHECK(offered == std::vector<size_t>{0, 1});
}

TEST_CASE("a pass that takes long tells after each of its steps that it goes on") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  std::vector<int> registrations;  // at each step
  plugin.OnProgress([&] {
    const auto resources = bench.kubelet->resources();
    registrations.push_back(resources.contains(kPgpu) ? 1 : 0);
  });
  plugin.Reconcile();
  CHECK(registrations == std::vector<int>{0, 1});
}

TEST_CASE("nothing is served until the first GPU is on vfio-pci") {
  Bench bench;
  for (const char* gpu : {"0000:01:00.0", "0000:02:00.0"}) {
    bench.root.Remove(fmt::format("/sys/bus/pci/devices/{}/driver", gpu));
  }
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  CHECK(plugin.Summary() == "nothing to offer");
  CHECK(bench.Sockets() == 0);
  bench.Bind();
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu10}));
}

TEST_CASE("GPUs and switches are two resources, each with a server and a CDI file") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:05:00.0",
                    .device = 0x22a3,
                    .class_code = 0x068000,
                    .iommu_group = 5,
                    .driver = "vfio-pci"});
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, kGpu10}));
  CHECK(bench.kubelet->WaitFor(kGenerous, [](const kubelet::Resources& resources) {
    const auto found = resources.find("nvidia.com/nvswitch");
    return found != resources.end() && found->second.devices.size() == 1;
  }));
  CHECK(bench.Sockets() == 2);
  CHECK(bench.kernel.List("/var/run/cdi")->size() == 2);
  CHECK(absl::IsInvalidArgument(bench.kubelet->Allocate(kPgpu, {"5"}).status()));
}

TEST_CASE("ids stay in one numbering when iommufd comes later") {
  Bench bench;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, kGpu10}));
  bench.root.File("/dev/iommu", "");
  plugin.Reconcile();
  CHECK(bench.Lists({kGpu2, kGpu10}));
}

TEST_CASE("stopping ends the list, removes the socket and keeps the CDI file") {
  Bench bench;
  {
    Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
    plugin.Reconcile();
    REQUIRE(bench.Lists({kGpu2, kGpu10}));
    CHECK(bench.Sockets() == 1);
  }
  CHECK(bench.Sockets() == 0);
  CHECK(bench.root.Exists(kCdi));
  CHECK(bench.kubelet->WaitFor(kGenerous, [](const kubelet::Resources& resources) {
    return !resources.at(kPgpu).connected;
  }));
}

TEST_CASE("a device is reset before it is given away, where that is wanted") {
  Bench bench;
  vgpu::VirtualGpu gpu(*vgpu::FindBoard("h100-pcie"), bench.clock, std::chrono::milliseconds(1));
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3, .driver = "vfio-pci", .gpu = &gpu});
  bench.options.reset_after_release = true;
  Plugin plugin(bench.kernel, bench.clock, bench.watch, bench.options);
  plugin.Reconcile();
  REQUIRE(bench.Lists({kGpu2, {"3", true, {0}}, kGpu10}));
  REQUIRE(bench.kubelet->Allocate(kPgpu, {"3"}).ok());
  CHECK(bench.kernel.writes() == Strings{"/sys/bus/pci/devices/0000:03:00.0/reset := 1"});
  bench.kernel.FailWrite("/reset", absl::UnavailableError("no answer"));
  const absl::Status refused = bench.kubelet->Allocate(kPgpu, {"3"}).status();
  CHECK(absl::IsUnavailable(refused));
  CHECK(Text(refused).find("nvidia.com/pgpu: reset before the next user: ") == 0);
}
