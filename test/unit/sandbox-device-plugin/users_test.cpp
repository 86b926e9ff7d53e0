// SPDX-License-Identifier: Apache-2.0
//
// Who has a device, told by a whole plugin beside kubelets that do not tell everything.
#include <absl/strings/escaping.h>
#include <deviceplugin_v1beta1.pb.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/other_process.h"
#include "test/kubelet/pod_resources.h"
#include "test/kubelet/stand_in.h"
#include "test/vgpu/board.h"
#include "test/vgpu/virtual_gpu.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";
const std::string kFirst = "0000:01:00.0", kSecond = "0000:02:00.0";
constexpr Duration kGenerous = std::chrono::seconds(60);

using Strings = std::vector<std::string>;

// Two GPUs of the groups 1 and 2, and a kubelet.
struct Bench {
  Bench() {
    kernel.Add({.bdf = kFirst, .iommu_group = 1, .driver = "vfio-pci", .gpu = &gpu});
    kernel.Add({.bdf = kSecond, .iommu_group = 2, .driver = "vfio-pci"});
    auto started =
        kubelet::StandIn::Start(root.Of(options.kubelet_dir).string(), [](const std::string&) {});
    REQUIRE(started.ok());
    kubelet = *std::move(started);
    StartPodResources();
  }

  void StartPodResources() {
    auto listing = kubelet::PodResources::Start(root.Of(options.pod_resources_socket).string());
    REQUIRE(listing.ok());
    pods = *std::move(listing);
  }
  Plugin& Start() {
    plugin = std::make_unique<Plugin>(kernel, clock, watch, options);
    plugin->Reconcile();
    return *plugin;
  }
  // The kubelet's checkpoint: the container has the device `id` and was given /dev/vfio/<group>.
  void Remember(const std::string& container, const std::string& id, const std::string& group) {
    v1beta1::ContainerAllocateResponse response;
    v1beta1::DeviceSpec& spec = *response.add_devices();
    spec.set_host_path("/dev/vfio/" + group);
    spec.set_container_path("/dev/vfio/" + group);
    root.File(kCheckpoint,
              fmt::format(R"({{"Data": {{"PodDeviceEntries": [{{"PodUID": "u",
        "ContainerName": "{}", "ResourceName": "nvidia.com/pgpu", "DeviceIDs": {{"-1": ["{}"]}},
        "AllocResp": "{}"}}]}}}})",
                          container, id, absl::Base64Escape(response.SerializeAsString())));
  }
  void Forget() { root.File(kCheckpoint, R"({"Data": {"PodDeviceEntries": null}})"); }
  void Withdraw(const std::string& transition) {
    service::StatusDocument document{
        .daemon = "cc-manager", .phase = "withdrawing", .transition = transition};
    for (const std::string& bdf : {kFirst, kSecond}) {
      document.devices.push_back({.bdf = bdf, .withdraw = true});
    }
    REQUIRE(service::Publish(kernel, document).ok());
  }
  service::StatusDocument Answer() const {
    const auto answer = service::ReadStatusDocument(kernel, "sandbox-device-plugin");
    REQUIRE(answer.ok());
    REQUIRE(answer->devices.size() == 2);
    return *answer;
  }
  auto UsersOfFirst() const { return Answer().devices[0].users; }
  bool Lists(const Strings& healthy, int lists = 0) const {
    return kubelet->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
      const auto found = resources.find(kPgpu);
      Strings ids;
      if (found == resources.end() || !found->second.connected) return false;
      for (const auto& device : found->second.devices) {
        if (device.healthy) ids.push_back(device.id);
      }
      return ids == healthy && found->second.lists >= lists;
    });
  }
  int ListsSoFar() const { return kubelet->resources().at(kPgpu).lists; }

  Options options;
  const std::string kCheckpoint = options.kubelet_dir + "/kubelet_internal_checkpoint";
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  vgpu::VirtualGpu gpu{*vgpu::FindBoard("h100-pcie"), clock, std::chrono::milliseconds(1)};
  fake::OtherProcess cc_manager{kernel, "cc-manager"};
  std::unique_ptr<kubelet::StandIn> kubelet;
  std::unique_ptr<kubelet::PodResources> pods;
  service::DirectoryWatch watch = *service::DirectoryWatch::Open();
  std::unique_ptr<Plugin> plugin;
};

// Somewhere another thread stops until it is let go.
class Gate {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kGenerous, [this] { return open_; });
  }
  bool Reached() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kGenerous, [this] { return reached_; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

}  // namespace

TEST_CASE("a pod keeps its device while the kubelet does not tell of it") {
  Bench bench;
  bench.Remember("main", "1", "1");
  bench.pods->Set({{"team", "vm", "main", kPgpu, {"1"}}});
  bench.Start();
  REQUIRE(bench.UsersOfFirst() == Strings{"team/vm/main"});
  bench.Withdraw("t");

  SECTION("it is away") { bench.pods.reset(); }
  SECTION("it has just started: it answers, and lists no pods") {
    bench.pods.reset();
    bench.StartPodResources();
  }
  SECTION("it has just started beside a plugin that has just started") {
    bench.plugin.reset();
    bench.pods.reset();
    bench.StartPodResources();
    bench.Start();
  }
  SECTION("others ask it as fast as they can") {
    bench.pods->Refuse(absl::ResourceExhaustedError("rejected by rate limit"));
    CHECK(bench.plugin->Reconcile() < std::chrono::milliseconds(100));  // so it is asked again soon
  }
  SECTION("the device is that of an ordinary init container") {
    bench.Remember("init", "1", "1");
    bench.pods->Set({});
    bench.plugin.reset();
    bench.Start();
  }
  bench.plugin->Reconcile();
  CHECK(bench.Answer().transition == "t");
  CHECK_THAT(bench.UsersOfFirst().value().at(0), Contains("pod u (container "));
  CHECK(bench.Answer().devices[1].users == Strings{});
}

TEST_CASE("where nobody can tell who has what, a withdrawal is answered with unknown users") {
  Bench bench;
  bench.Start();
  bench.Withdraw("t");
  SECTION("the kubelet refuses and has no checkpoint") {
    bench.pods->Refuse(absl::PermissionDeniedError("no, not you"));
    bench.plugin->Reconcile();
    CHECK_THAT(bench.Answer().reason, Contains("no, not you"));
  }
  SECTION("its checkpoint is not understood") {
    bench.root.File(bench.kCheckpoint, "{");
    bench.plugin->Reconcile();
    CHECK_THAT(bench.Answer().reason, Contains("users are not known: "));
  }
  CHECK(bench.Answer().transition == "t");
  CHECK_FALSE(bench.UsersOfFirst());
}

TEST_CASE("a kubelet that remembers pods of which it does not tell is made to write its file") {
  Bench bench;
  bench.Remember("main", "1", "1");  // of a pod that has ended, or in its init container
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists({"1", "2"}, 1));
  const int before = bench.ListsSoFar();
  bench.clock.SleepFor(std::chrono::seconds(10));
  CHECK(plugin.Reconcile() < std::chrono::seconds(1));
  CHECK(bench.Lists({"1", "2"}, before + 1));

  bench.Forget();
  plugin.Reconcile();
  CHECK(bench.UsersOfFirst() == Strings{});
  CHECK(plugin.Reconcile() == std::chrono::seconds(10));
}

// A node was drained and started again, and its IOMMU groups have changed places: the kubelet, here
// of Kubernetes 1.34.4, remembers pods that have ended until it writes its checkpoint for another
// reason, and none comes while nothing is offered.
TEST_CASE("pods that have ended do not keep devices from being offered") {
  Bench bench;
  bench.options.ids = Ids::kAddress;
  bench.Remember("main", kFirst, "2");
  SECTION("their directories have gone") {
    bench.root.Directory("/var/lib/kubelet/pods/another");
    bench.Start();
  }
  SECTION("the kubelet writes its file when it is sent a list") {
    bench.Start();
    REQUIRE(bench.Lists({}, 1));
    bench.clock.SleepFor(std::chrono::seconds(1));
    bench.plugin->Reconcile();
    REQUIRE(bench.Lists({}, 2));
    bench.Forget();
    bench.plugin->Reconcile();
  }
  SECTION("nobody can say more") {
    bench.pods.reset();
    bench.Start();
    REQUIRE(bench.Lists({}));
    bench.clock.SleepFor(Pods::kBelief);
    bench.plugin->Reconcile();
  }
  CHECK(bench.Lists({kFirst, kSecond}));
}

TEST_CASE("a pod that is there does keep them") {
  Bench bench;
  bench.options.ids = Ids::kAddress;
  bench.Remember("main", kFirst, "2");
  SECTION("the kubelet lists it") { bench.pods->Set({{"team", "vm", "main", kPgpu, {kFirst}}}); }
  SECTION("its directory is there") {
    bench.root.Directory("/var/lib/kubelet/pods/u");
    bench.pods.reset();
  }
  Plugin& plugin = bench.Start();
  bench.clock.SleepFor(Pods::kBelief);
  plugin.Reconcile();
  CHECK(bench.Lists({}));
  CHECK_THAT(bench.Answer().devices[0].error, Contains("delete that pod"));
}

TEST_CASE("without pod-resources, units that were bound again under new numbers are no ghosts") {
  Bench bench;
  bench.pods.reset();
  bench.Forget();
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists({"1", "2"}));
  for (const int group : {20, 21, 22}) {
    bench.kernel.Add({.bdf = kSecond, .iommu_group = group, .driver = "vfio-pci"});
    plugin.Reconcile();
    bench.clock.SleepFor(kSettleTime);
    plugin.Reconcile();
    REQUIRE(bench.Lists({"1", std::to_string(group)}));
    CHECK(bench.kubelet->resources().at(kPgpu).devices.size() == 2);
  }
}

TEST_CASE("a unit that is gone is listed while a pod has it, and no longer") {
  Bench bench;
  bench.pods->Set({{"team", "vm", "main", kPgpu, {"2"}}});
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists({"1", "2"}));
  bench.root.Remove("/sys/bus/pci/devices/" + kSecond);
  plugin.Reconcile();
  CHECK(bench.Lists({"1"}));
  CHECK(bench.kubelet->resources().at(kPgpu).devices.size() == 2);  // one unhealthy
  bench.pods->Set({});
  plugin.Reconcile();
  plugin.Reconcile();
  CHECK(bench.kubelet->WaitFor(kGenerous, [](const kubelet::Resources& resources) {
    return resources.at(kPgpu).devices.size() == 1;
  }));
}

TEST_CASE("whoever is being given a device is its user until ten seconds after the answer") {
  Bench bench;
  bench.options.reset_after_release = true;
  Gate gate;
  bench.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/reset")) gate.Pass();
  });
  Plugin& plugin = bench.Start();
  REQUIRE(bench.Lists({"1", "2"}));
  absl::Status answered;
  std::jthread kubelet([&] { answered = bench.kubelet->Allocate(kPgpu, {"1"}).status(); });
  REQUIRE(gate.Reached());
  const Strings admitting{"a pod that is being admitted"};

  SECTION("a change of mode comes in the middle") {
    bench.clock.SleepFor(std::chrono::seconds(11));
    bench.Withdraw("t");
    plugin.Reconcile();
    CHECK(bench.Answer().transition == "t");
    CHECK(bench.UsersOfFirst() == admitting);
    CHECK(bench.Answer().devices[1].users == Strings{});
    gate.Open();
    kubelet.join();
    CHECK(absl::IsFailedPrecondition(answered));
    CHECK_THAT(Text(answered), Contains("mode change in progress"));
    plugin.Reconcile();
    CHECK(bench.UsersOfFirst() == Strings{});
  }
  SECTION("it comes afterwards") {
    bench.clock.SleepFor(std::chrono::seconds(11));
    gate.Open();
    kubelet.join();
    CHECK(answered.ok());
    bench.Withdraw("t");
    bench.clock.SleepFor(std::chrono::seconds(9));
    plugin.Reconcile();
    CHECK(bench.UsersOfFirst() == admitting);
    bench.clock.SleepFor(std::chrono::seconds(1));
    plugin.Reconcile();
    CHECK(bench.UsersOfFirst() == Strings{});
  }
}

TEST_CASE("a status document that somebody has removed is written again") {
  Bench bench;
  bench.Start();
  bench.root.Remove("/run/nvidia/gpuhost/sandbox-device-plugin.json");
  bench.plugin->Reconcile();
  CHECK(bench.Answer().daemon == "sandbox-device-plugin");
}
