// SPDX-License-Identifier: Apache-2.0
//
// A change of mode as the plugin sees it: cc-manager withdraws devices, the plugin answers.
#include "daemons/sandbox-device-plugin/withdrawal.h"

#include <catch2/catch.hpp>

#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/other_process.h"
#include "test/kubelet/pod_resources.h"
#include "test/kubelet/stand_in.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

const std::string kPgpu = "nvidia.com/pgpu";
const std::string kFirst = "0000:01:00.0", kSecond = "0000:02:00.0";
constexpr Duration kGenerous = std::chrono::seconds(60);

using Strings = std::vector<std::string>;

// Two GPUs of the groups 1 and 2, a kubelet, and a cc-manager that lives and changes nothing.
struct Bench {
  Bench() {
    kernel.Add({.bdf = kFirst, .iommu_group = 1, .driver = "vfio-pci"});
    kernel.Add({.bdf = kSecond, .iommu_group = 2, .driver = "vfio-pci"});
    auto started =
        kubelet::StandIn::Start(root.Of(options.kubelet_dir).string(), [](const std::string&) {});
    REQUIRE(started.ok());
    kubelet = *std::move(started);
    auto listing = kubelet::PodResources::Start(root.Of(options.pod_resources_socket).string());
    REQUIRE(listing.ok());
    pods = *std::move(listing);
  }

  // What cc-manager publishes.
  void Withdraw(const std::string& transition, const Strings& devices) {
    service::StatusDocument document{
        .daemon = "cc-manager", .phase = "withdrawing", .transition = transition};
    for (const std::string& bdf : devices) {
      document.devices.push_back({.bdf = bdf, .withdraw = true});
    }
    REQUIRE(service::Publish(kernel, document).ok());
  }
  void Publish(service::StatusDocument document) {
    document.daemon = "cc-manager";
    REQUIRE(service::Publish(kernel, document).ok());
  }
  void Settle() {
    REQUIRE(service::Publish(kernel, {.daemon = "cc-manager",
                                      .phase = "steady",
                                      .devices = {{.bdf = kFirst}, {.bdf = kSecond}}})
                .ok());
  }
  service::StatusDocument Answer() const {
    const auto answer = service::ReadStatusDocument(kernel, "sandbox-device-plugin");
    REQUIRE(answer.ok());
    REQUIRE(answer->devices.size() == 2);
    return *answer;
  }
  // "offered withheld"
  std::string States() const {
    const auto answer = Answer();
    return answer.devices[0].state + " " + answer.devices[1].state;
  }
  bool KubeletSees(bool first, bool second) const {
    return kubelet->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
      const auto found = resources.find(kPgpu);
      return found != resources.end() && found->second.devices.size() == 2 &&
             found->second.devices[0].healthy == first &&
             found->second.devices[1].healthy == second;
    });
  }

  Options options;
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  fake::OtherProcess cc_manager{kernel, "cc-manager"};
  std::unique_ptr<kubelet::StandIn> kubelet;
  std::unique_ptr<kubelet::PodResources> pods;
  service::DirectoryWatch watch = *service::DirectoryWatch::Open();
  Plugin plugin{kernel, clock, watch, options};
};

}  // namespace

TEST_CASE("devices that cc-manager withdraws are given to nobody until it is done") {
  Bench bench;
  bench.plugin.Reconcile();
  CHECK(bench.KubeletSees(true, true));
  CHECK(bench.Answer().transition.empty());
  CHECK(bench.States() == "offered offered");

  bench.Withdraw("change-1", {kSecond});
  CHECK(bench.plugin.Reconcile() == std::chrono::seconds(2));
  CHECK(bench.KubeletSees(true, false));
  CHECK(absl::IsFailedPrecondition(bench.kubelet->Allocate(kPgpu, {"2"}).status()));
  CHECK(bench.kubelet->Allocate(kPgpu, {"1"}).ok());
  CHECK(bench.Answer().transition == "change-1");
  CHECK(bench.Answer().phase == "steady");
  CHECK(bench.States() == "offered withheld");
  CHECK(bench.Answer().devices[1].error == "mode change in progress");
  // Pods that run with a device, or start again, still find it.
  CHECK(bench.root.Content("/var/run/cdi/nvidia.com-pgpu.yaml").find("\"2\"") != std::string::npos);

  bench.Settle();
  bench.plugin.Reconcile();
  CHECK(bench.KubeletSees(true, true));
  CHECK(bench.Answer().transition.empty());
  CHECK(bench.States() == "offered offered");
}

TEST_CASE("users are told with the transition, and again when they go") {
  Bench bench;
  bench.pods->Set({{"team", "vm", "main", kPgpu, {"1", "2"}},
                   {"team", "other", "main", "nvidia.com/nvswitch", {"2"}},
                   {"team", "vm-2", "main", kPgpu, {"2"}}});
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  const auto busy = bench.Answer();
  CHECK(busy.transition == "t");
  CHECK(busy.reason.empty());
  CHECK(busy.devices[0].users == Strings{"team/vm/main"});
  CHECK(busy.devices[1].users == Strings{"team/vm/main", "team/vm-2/main"});

  bench.plugin.Reconcile();
  CHECK(bench.Answer().generation == busy.generation);
  bench.pods->Set({});
  bench.plugin.Reconcile();
  CHECK(bench.Answer().generation == busy.generation + 1);
  CHECK(bench.Answer().devices[0].users == Strings{});
  CHECK(bench.Answer().transition == "t");
}

TEST_CASE("users are asked for after the withdrawal is in force") {
  Bench bench;
  bench.plugin.Reconcile();
  bench.Withdraw("t", {kFirst});
  absl::Status while_asked;
  bench.pods->OnList([&] { while_asked = bench.kubelet->Allocate(kPgpu, {"1"}).status(); });
  bench.plugin.Reconcile();
  CHECK(absl::IsFailedPrecondition(while_asked));
}

TEST_CASE("a kubelet that does not tell its pods leaves users unknown, with the reason") {
  Bench bench;
  bench.pods->Refuse(absl::PermissionDeniedError("no, not you"));
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  CHECK(bench.Answer().transition == "t");
  CHECK(bench.Answer().reason.find("no, not you") != std::string::npos);
  CHECK_FALSE(bench.Answer().devices[0].users);
  CHECK(bench.States() == "withheld withheld");

  bench.pods.reset();
  bench.plugin.Reconcile();
  CHECK(bench.Answer().reason.find("users are not known: list pods at ") == 0);
  CHECK(bench.Answer().transition == "t");
}

TEST_CASE("a cc-manager that died in a change is waited for one minute") {
  Bench bench;
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  bench.cc_manager.Kill();
  bench.plugin.Reconcile();
  bench.clock.SleepFor(std::chrono::seconds(59));
  bench.plugin.Reconcile();
  CHECK(bench.States() == "withheld withheld");
  CHECK(bench.Answer().transition == "t");
  bench.clock.SleepFor(std::chrono::seconds(1));
  bench.plugin.Reconcile();
  CHECK(bench.States() == "offered offered");
  CHECK(bench.Answer().transition.empty());

  const fake::OtherProcess again(bench.kernel, "cc-manager");  // and its document is still there
  bench.plugin.Reconcile();
  CHECK(bench.States() == "withheld withheld");
}

TEST_CASE("a withdrawal needs a transition, and documents may be broken or missing") {
  Bench bench;
  bench.Withdraw("", {kFirst});
  bench.plugin.Reconcile();
  CHECK(bench.States() == "offered offered");
  bench.Withdraw("t", {kFirst});
  bench.plugin.Reconcile();
  bench.root.File("/run/nvidia/gpuhost/cc-manager.json", "{");
  bench.plugin.Reconcile();
  CHECK(bench.States() == "withheld offered");
  bench.root.Remove("/run/nvidia/gpuhost/cc-manager.json");
  bench.plugin.Reconcile();
  CHECK(bench.States() == "offered offered");
}

TEST_CASE("a plugin that starts beside a broken document offers nothing") {
  Bench bench;
  bench.root.File("/run/nvidia/gpuhost/cc-manager.json", "{");
  bench.plugin.Reconcile();
  CHECK(bench.States() == "withheld withheld");
  CHECK_THAT(bench.Answer().devices[0].error, Contains("not known") && Contains("cc-manager.json"));
  bench.Settle();
  bench.plugin.Reconcile();
  CHECK(bench.States() == "offered offered");
}

TEST_CASE("what cc-manager calls unusable is given to nobody, in any phase and after its end") {
  const bool dead = GENERATE(false, true);
  for (const char* phase : {"waiting", "withdrawing", "arming", "resetting", "steady", "failed"}) {
    CAPTURE(phase, dead);
    Bench bench;
    bench.Publish({.phase = phase,
                   .devices = {{.bdf = kFirst, .unusable = "it is armed for on"},
                               {.bdf = kSecond, .state = "off", .pending = "off"}}});
    if (dead) bench.cc_manager.Kill();
    for (int pass = 0; pass < 3; ++pass) {
      bench.plugin.Reconcile();
      CHECK(bench.States() == "withheld offered");
      CHECK(bench.Answer().devices[0].error == "it is armed for on");
      bench.clock.SleepFor(WithdrawalReader::kPatience);
    }
    Plugin later(bench.kernel, bench.clock, bench.watch, bench.options);
    later.Reconcile();
    CHECK(bench.States() == "withheld offered");
    bench.Settle();
    later.Reconcile();
    CHECK(bench.States() == "offered offered");
  }
}

TEST_CASE(
    "a device whose next reset brings another mode, and that has an error, is given to nobody") {
  Bench bench;
  bench.cc_manager.Kill();
  const auto states = [&](const std::string& state, const std::string& pending,
                          const std::string& error) {
    bench.Publish({.phase = "failed",
                   .devices = {{.bdf = kFirst, .state = state, .pending = pending, .error = error},
                               {.bdf = kSecond}}});
    bench.plugin.Reconcile();
    return bench.States();
  };
  CHECK(states("off", "on", "it stays armed") == "withheld offered");
  CHECK(bench.Answer().devices[0].error ==
        "its mode is off and the next reset makes it on: it stays armed");
  CHECK(states("off", "on", "") == "offered offered");
  CHECK(states("off", "", "no answer") == "offered offered");
  CHECK(states("", "on", "no answer") == "offered offered");
  CHECK(states("on", "on", "no answer") == "offered offered");
}

TEST_CASE("of a cc-manager that is dead for long, what may be armed stays withdrawn") {
  struct Case {
    const char* phase;
    const char* states;
  };
  for (const Case& one :
       {Case{"withdrawing", "withheld offered"}, Case{"waiting", "withheld offered"},
        Case{"arming", "withheld offered"}, Case{"resetting", "withheld offered"}}) {
    CAPTURE(one.phase);
    Bench bench;
    bench.Publish(
        {.phase = one.phase,
         .transition = "t",
         .devices = {{.bdf = kFirst, .state = "off", .pending = "on", .withdraw = true},
                     {.bdf = kSecond, .state = "on", .pending = "on", .withdraw = true}}});
    bench.cc_manager.Kill();
    bench.plugin.Reconcile();
    CHECK(bench.States() == "withheld withheld");
    bench.clock.SleepFor(WithdrawalReader::kPatience);
    bench.plugin.Reconcile();
    CHECK(bench.States() == one.states);
    CHECK_THAT(bench.Answer().devices[0].error, Contains("start cc-manager"));
    CHECK(bench.Answer().transition.empty());
  }
}

TEST_CASE("a mode that nobody knows is given back after a change that had not armed anything") {
  for (const char* phase : {"withdrawing", "resetting"}) {
    CAPTURE(phase);
    Bench bench;
    bench.Publish({.phase = phase,
                   .transition = "t",
                   .devices = {{.bdf = kFirst, .withdraw = true},
                               {.bdf = kSecond, .state = "off", .withdraw = true}}});
    bench.cc_manager.Kill();
    bench.plugin.Reconcile();
    bench.clock.SleepFor(WithdrawalReader::kPatience);
    bench.plugin.Reconcile();
    const bool armed = std::string(phase) == "resetting";
    CHECK(bench.States() == (armed ? "withheld withheld" : "offered offered"));
  }
}

TEST_CASE("devices on no driver are withdrawn too, before they are bound") {
  Bench bench;
  bench.root.Remove("/sys/bus/pci/devices/" + kSecond + "/driver");
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  bench.root.Link("/sys/bus/pci/devices/" + kSecond + "/driver", "../../drivers/vfio-pci");
  bench.plugin.Reconcile();
  CHECK(bench.States() == "withheld withheld");
}

TEST_CASE("a device that was given away a moment ago has a user before its pod is told") {
  Bench bench;
  bench.plugin.Reconcile();
  REQUIRE(bench.KubeletSees(true, true));
  REQUIRE(bench.kubelet->Allocate(kPgpu, {"2"}).ok());
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  CHECK(bench.Answer().devices[0].users == Strings{});
  CHECK(bench.Answer().devices[1].users == Strings{"a pod that is being admitted"});
  bench.clock.SleepFor(std::chrono::seconds(10));
  bench.plugin.Reconcile();
  CHECK(bench.Answer().devices[1].users == Strings{});
}

TEST_CASE("whoever was told as its user and has gone is waited for no longer") {
  Bench bench;
  bench.plugin.Reconcile();
  REQUIRE(bench.KubeletSees(true, true));
  REQUIRE(bench.kubelet->Allocate(kPgpu, {"2"}).ok());
  bench.clock.SleepFor(std::chrono::seconds(1));
  bench.pods->Set({{.pod = "p", .resource = kPgpu, .ids = {"2"}}});
  bench.plugin.Reconcile();
  bench.pods->Set({});
  bench.Withdraw("t", {kFirst, kSecond});
  bench.plugin.Reconcile();
  CHECK(bench.Answer().devices[1].users == Strings{});

  bench.Settle();
  bench.plugin.Reconcile();
  bench.clock.SleepFor(std::chrono::seconds(3));
  bench.plugin.Reconcile();
  REQUIRE(bench.KubeletSees(true, true));
  REQUIRE(bench.kubelet->Allocate(kPgpu, {"2"}).ok());  // to another one
  bench.Withdraw("u", {kFirst, kSecond});
  bench.plugin.Reconcile();
  CHECK(bench.Answer().devices[1].users == Strings{"a pod that is being admitted"});
}
