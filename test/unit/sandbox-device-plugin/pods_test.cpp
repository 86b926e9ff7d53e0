// SPDX-License-Identifier: Apache-2.0
//
// What the kubelets of Kubernetes 1.34.4 and 1.37.2 tell and do not tell of who has what.
#include "daemons/sandbox-device-plugin/pods.h"

#include <catch2/catch.hpp>

#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/pod_resources.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";
using Strings = std::vector<std::string>;

// A kubelet whose checkpoint says that the container main of the pod u has 7.
struct Bench {
  Bench() {
    Remember("u", "main");
    StartKubelet();
    pods.ReadCheckpoint(clock.Now());
    REQUIRE(pods.checkpoint_status().ok());
  }
  void Remember(const std::string& pod, const std::string& container) {
    root.File(kCheckpoint, fmt::format(R"({{"Data": {{"PodDeviceEntries": [{{"PodUID": "{}",
        "ContainerName": "{}", "ResourceName": "nvidia.com/pgpu", "DeviceIDs": {{"-1": ["7"]}},
        "AllocResp": ""}}]}}}})",
                                       pod, container));
  }
  // Its socket takes the place of that of the kubelet before, which may have been killed.
  void StartKubelet() {
    auto started = kubelet::PodResources::Start(root.Of(kSocket).string() + ".new");
    REQUIRE(started.ok());
    std::filesystem::rename(root.Of(kSocket + ".new"), root.Of(kSocket));
    kubelet = *std::move(started);
  }
  void Ask() { pods.Ask(clock.Now()); }
  void Says(const Strings& ids) {
    kubelet->Set({{.pod = "p", .resource = kPgpu, .ids = ids}});
    Ask();
  }
  bool Has7() const { return pods.Has(kPgpu, "7"); }
  auto Users(const std::string& id) const { return pods.Users(kPgpu, id); }

  const std::string kSocket = "/pod-resources.sock", kCheckpoint = "/checkpoint",
                    kDirectory = "/pods";
  fake::TempRoot root;
  HostFs fs{root.path()};
  fake::FakeClock clock;
  std::unique_ptr<kubelet::PodResources> kubelet;
  Pods pods{fs, {.socket = kSocket, .checkpoint = kCheckpoint, .directory = kDirectory}};
};

}  // namespace

TEST_CASE("the checkpoint counts until the kubelet has listed the pod") {
  Bench bench;
  CHECK(bench.Has7());
  bench.Says({});  // it has just started and does not know its pods
  CHECK(bench.pods.known().ok());
  CHECK(bench.Has7());
  CHECK(bench.pods.Unconfirmed({kPgpu}));
  CHECK_FALSE(bench.pods.Unconfirmed({"nvidia.com/other"}));
  CHECK(bench.Users("7") ==
        Strings{"pod u (container main), of which the kubelet's checkpoint tells"});
  CHECK(bench.Users("8") == Strings{});
  bench.Says({"7"});
  CHECK(bench.Has7());
  CHECK(bench.Users("7") == Strings{"/p/"});
  CHECK_FALSE(bench.pods.Unconfirmed({kPgpu}));
}

TEST_CASE("a pod that was listed and is no more has gone, whatever the checkpoint says") {
  Bench bench;
  bench.Says({"7", "8"});
  CHECK(bench.pods.Has(kPgpu, "8"));
  bench.Says({});
  CHECK_FALSE(bench.Has7());
  CHECK_FALSE(bench.pods.Has(kPgpu, "8"));
  bench.pods.ReadCheckpoint(bench.clock.Now());
  CHECK_FALSE(bench.Has7());
  CHECK(bench.pods.Unconfirmed({kPgpu}));  // lest another kubelet believes it
  CHECK(bench.pods.Standing(bench.clock.Now()).empty());

  bench.kubelet->Refuse(absl::ResourceExhaustedError("rejected by rate limit"));
  bench.Ask();
  CHECK_FALSE(bench.Has7());  // it is the same kubelet
}

TEST_CASE("a new kubelet that does not know its pods yet takes nothing from them") {
  Bench bench;
  bench.Says({"7"});
  SECTION("it was seen to come") { bench.pods.KubeletChanged(); }
  SECTION("the old one was seen to go") {
    bench.kubelet.reset();
    bench.Ask();
    CHECK(bench.Has7());
    bench.StartKubelet();
  }
  SECTION("it came between two questions") { bench.StartKubelet(); }
  bench.Says({});
  CHECK(bench.Has7());
}

TEST_CASE("a kubelet that is replaced while it is asked has not said anything") {
  Bench bench;
  bench.Says({"7"});
  std::unique_ptr<kubelet::PodResources> old;
  bench.kubelet->Set({});
  bench.kubelet->OnList([&] {
    old = std::move(bench.kubelet);
    bench.StartKubelet();
  });
  bench.Ask();
  CHECK(bench.Has7());
  CHECK(bench.pods.refused_for_now());
}

TEST_CASE("a pod in its init containers is a user, of which the kubelet never tells") {
  Bench bench;
  bench.Says({"7"});
  bench.Says({});  // the first has ended
  REQUIRE_FALSE(bench.Has7());
  bench.Remember("v", "init");  // and the kubelet has given its device to the next
  bench.Ask();
  bench.Ask();
  CHECK_THAT(bench.Users("7").value().at(0), Contains("pod v (container init)"));
  CHECK(bench.pods.Unconfirmed({kPgpu}));
  bench.Says({"7"});
  CHECK(bench.Users("7") == Strings{"/p/"});
  bench.Says({});
  CHECK(bench.Users("7") == Strings{});
}

TEST_CASE("without the API the checkpoint decides") {
  Bench bench;
  bench.Says({"7"});
  SECTION("too many questions") {
    bench.kubelet->Refuse(absl::ResourceExhaustedError("rejected by rate limit"));
    bench.Ask();
    CHECK(bench.pods.refused_for_now());
  }
  SECTION("no permission") {
    bench.kubelet->Refuse(absl::PermissionDeniedError("no, not you"));
    bench.Ask();
    CHECK_FALSE(bench.pods.refused_for_now());
  }
  SECTION("no kubelet") {
    bench.kubelet.reset();
    bench.Ask();
  }
  CHECK(bench.pods.known().ok());
  CHECK_THAT(bench.Users("7").value().at(0), Contains("pod u (container main)"));
  CHECK(bench.Users("8") == Strings{});
}

TEST_CASE("what nobody can say is not 'no users'") {
  Bench bench;
  SECTION("no checkpoint and no API") {
    bench.kubelet.reset();
    bench.root.Remove(bench.kCheckpoint);
    bench.Ask();
    CHECK_FALSE(bench.Users("7"));
  }
  SECTION("a checkpoint that cannot be understood") {
    bench.root.File(bench.kCheckpoint, "{");
    bench.Says({"9"});
    CHECK(bench.Users("9") == Strings{"/p/"});
    CHECK(bench.Has7());  // as it said before
  }
  CHECK_FALSE(bench.Users("8"));
  CHECK_FALSE(bench.pods.known().ok());
  CHECK_FALSE(bench.pods.Has(kPgpu, "8"));
}

TEST_CASE("while the kubelet is away, a pod whose directory has gone has ended") {
  Bench bench;
  bench.root.Directory(bench.kDirectory + "/u");
  bench.kubelet.reset();
  bench.Ask();
  CHECK(bench.Has7());
  bench.root.Remove(bench.kDirectory + "/u");
  CHECK(bench.Users("7") == Strings{});
  CHECK(bench.pods.Standing(bench.clock.Now()).empty());

  // One that was only just admitted may have none yet, so a kubelet that is there says it itself.
  bench.StartKubelet();
  bench.Says({});
  CHECK(bench.Has7());
}

TEST_CASE("on the word of the checkpoint alone a device is not kept for ever") {
  Bench bench;
  const auto standing = [&] { return bench.pods.Standing(bench.clock.Now()).size(); };
  bench.kubelet.reset();
  bench.Ask();
  bench.clock.SleepFor(Pods::kBelief - std::chrono::seconds(1));
  bench.Ask();
  CHECK(standing() == 1);
  bench.clock.SleepFor(std::chrono::seconds(1));
  CHECK(standing() == 0);
  CHECK(bench.Has7());  // and yet nothing is done to it

  SECTION("a directory is another's word") { bench.root.Directory(bench.kDirectory + "/u"); }
  SECTION("the kubelet, too") {
    bench.StartKubelet();
    bench.Says({"7"});
  }
  SECTION("another pod") {
    bench.Remember("v", "main");
    bench.Ask();
  }
  CHECK(standing() == 1);
}
