// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/pods.h"

#include <catch2/catch.hpp>

#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/pod_resources.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";

// A kubelet whose checkpoint says that a pod has 7.
struct Bench {
  Bench() {
    root.File(kCheckpoint, R"({"Data": {"PodDeviceEntries": [{"PodUID": "u", "ContainerName": "c",
        "ResourceName": "nvidia.com/pgpu", "DeviceIDs": {"-1": ["7"]}, "AllocResp": ""}]}})");
    StartKubelet();
    pods.ReadCheckpoint();
    REQUIRE(pods.checkpoint_status().ok());
  }
  void StartKubelet() {
    auto started = kubelet::PodResources::Start(root.Of(kSocket).string());
    REQUIRE(started.ok());
    kubelet = *std::move(started);
  }
  void Says(const std::vector<std::string>& ids) {
    kubelet->Set({{.pod = "p", .resource = kPgpu, .ids = ids}});
    pods.Ask(clock.Now());
  }
  bool Has7() const { return pods.Has(kPgpu, "7"); }

  const std::string kSocket = "/pod-resources.sock", kCheckpoint = "/checkpoint";
  fake::TempRoot root;
  HostFs fs{root.path()};
  fake::FakeClock clock;
  std::unique_ptr<kubelet::PodResources> kubelet;
  Pods pods{fs, kSocket, kCheckpoint};
};

}  // namespace

TEST_CASE("the checkpoint counts until the kubelet has listed the pod") {
  Bench bench;
  CHECK(bench.Has7());
  CHECK_FALSE(bench.pods.known());
  bench.Says({});  // it has just started and does not know its pods
  CHECK(bench.pods.known());
  CHECK(bench.Has7());
  bench.Says({"7"});
  CHECK(bench.Has7());
}

TEST_CASE("a pod that was listed and is no more has gone, whatever the checkpoint says") {
  Bench bench;
  bench.Says({"7", "8"});
  CHECK(bench.pods.Has(kPgpu, "8"));
  bench.Says({});
  CHECK_FALSE(bench.Has7());
  CHECK_FALSE(bench.pods.Has(kPgpu, "8"));
  bench.pods.ReadCheckpoint();
  CHECK_FALSE(bench.Has7());
}

TEST_CASE("a new kubelet that does not know its pods yet takes nothing from them") {
  Bench bench;
  bench.Says({"7"});
  SECTION("it was seen to come") { bench.pods.KubeletChanged(); }
  SECTION("the old one was seen to go") {
    bench.kubelet.reset();
    bench.pods.Ask(bench.clock.Now());
    CHECK(bench.Has7());
    bench.StartKubelet();
  }
  bench.Says({});
  CHECK(bench.Has7());
}
