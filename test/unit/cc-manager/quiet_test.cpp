// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/quiet.h"

#include <catch2/catch.hpp>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "test/fake/other_process.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

const std::string kToken = "paused-for-cc-mode-change";
const apiserver::Texts kOperandLabels{{kMode, "on"}, {kVfio, "true"}, {kKataPlugin, "true"}};

// The GPU Operator's pods on the node.
void AddOperands(NodeWorld& world) {
  world.server->AddOperand(
      {.node = "n", .label = kVfio, .name_space = "gpu-operator", .app = "nvidia-vfio-manager"});
  world.server->AddOperand({.node = "n",
                            .label = kKataPlugin,
                            .name_space = "gpu-operator",
                            .app = "nvidia-kata-sandbox-device-plugin-daemonset"});
}

// No knob, no reset. (At the start the firmware is asked what it has pending, which is a message.)
bool NothingTouched(NodeWorld& world) { return world.AllIn(Mode::kOff) && world.Resets() == 0; }

std::string Told(NodeWorld& world) { return world.server->AnnotationsOf("n")[kStatusAnnotation]; }

service::StatusDocument Document(NodeWorld& world) {
  return service::ReadStatusDocument(world.machine.kernel, "cc-manager").value();
}

// What our plugin answers to the change of now.
void PluginAnswers(NodeWorld& world, const std::vector<std::string>& users = {}) {
  REQUIRE(
      service::Publish(world.machine.kernel,
                       {.daemon = "sandbox-device-plugin",
                        .transition = Document(world).transition,
                        .devices = {{.bdf = "0000:01:00.0", .state = "withheld", .users = users}}})
          .ok());
}

}  // namespace

TEST_CASE("operands are gone before a knob is written, and are back afterwards") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  AddOperands(world);
  world.server->AddPod({.name = "other", .name_space = "gpu-operator", .node = "n"});
  REQUIRE(world.node->Operands().ok());  // the controller acts after a request
  const auto there = [&] {
    return world.server->HasPod("gpu-operator", "nvidia-vfio-manager-00001") ||
           world.server->HasPod("gpu-operator",
                                "nvidia-kata-sandbox-device-plugin-daemonset-00002");
  };
  REQUIRE(there());
  world.server->HoldOperands();
  std::string at_first_write;
  bool there_at_first_write = true;
  world.machine.kernel.OnWrite([&](const std::string&) {
    if (!at_first_write.empty()) return;
    at_first_write = world.Label(kVfio) + " " + world.Label(kKataPlugin);
    there_at_first_write = there();
  });
  world.wakeup.Pass(3);
  world.wakeup.Then([&] { world.server->ReleaseOperands(); });
  world.wakeup.Pass(10);
  CHECK(world.Settle().status.ok());
  CHECK_FALSE(there_at_first_write);
  CHECK(at_first_write == kToken + " " + kToken);
  CHECK(world.AllIn(Mode::kOn));
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.Label(kKataPlugin) == "true");
  CHECK(world.ReadyState() == "true");
  CHECK(world.server->patches().size() <= 4);
}

TEST_CASE("operands that do not leave fail the change, and come back") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  AddOperands(world);
  world.server->HoldOperands();
  world.wakeup.Pass(400);
  const auto result = world.Settle();
  CHECK(absl::IsDeadlineExceeded(result.status));
  CHECK(Text(result.status).find("nvidia-vfio-manager") != std::string::npos);
  CHECK(NothingTouched(world));
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.ModeState() == "failed");
}

TEST_CASE("whoever may not see the operands is told so at once") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  AddOperands(world);
  world.wakeup.Pass(3);
  world.server->AddFault({.match = "/namespaces/gpu-operator/pods", .times = 99, .code = 403});
  const auto result = world.Settle();
  CHECK(absl::IsPermissionDenied(result.status));
  CHECK(Text(result.status).find("OPERATOR_NAMESPACE") != std::string::npos);
  CHECK(NothingTouched(world));
  CHECK(world.Label(kVfio) == "true");
}

TEST_CASE("eviction can be switched off") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  AddOperands(world);
  world.settings.evict_operands = false;
  world.Restart();
  CHECK(world.Settle().status.ok());
  for (const auto& patch : world.server->patches()) {
    CHECK(patch.body.find("gpu.deploy") == std::string::npos);
  }
}

TEST_CASE("what an earlier version left behind is healed although there is nothing to switch") {
  NodeWorld world(
      {"h100-pcie"}, true,
      {{kMode, "off"},
       {kVfio, kToken},
       {kKataPlugin, "custom_" + kToken},
       {"nvidia.com/gpu.deploy.vgpu-manager", ""},
       {"nvidia.com/gpu.deploy.sandbox-validator", kToken + "_paused-for-driver-upgrade"},
       {"nvidia.com/cc.mode.state", "success"}});
  CHECK(world.Settle().status.ok());
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.Label(kKataPlugin) == "custom");
  CHECK(world.Label("nvidia.com/gpu.deploy.vgpu-manager") == "absent");
  CHECK(world.Label("nvidia.com/gpu.deploy.sandbox-validator") == "paused-for-driver-upgrade");
  CHECK(world.ModeState() == "off");
}

TEST_CASE("a pauser that comes in between keeps its own token") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  world.machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/reset")) {
      world.server->SetLabels(
          "n", {{kVfio, kToken + "_paused-for-driver-upgrade"}, {kKataPlugin, "false"}});
    }
  });
  CHECK(world.Settle().status.ok());
  CHECK(world.Label(kVfio) == "paused-for-driver-upgrade");
  CHECK(world.Label(kKataPlugin) == "false");
}

TEST_CASE("a virtual machine keeps the change waiting, operands stay meanwhile") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, kOperandLabels);
  AddOperands(world);
  world.machine.HoldOpen(1, 4711, "qemu-system-x86");
  world.wakeup.Then([&] {
    CHECK(NothingTouched(world));
    CHECK(world.Label(kVfio) == "true");
    CHECK(world.ModeState() == "absent");
    CHECK(world.ReadyState() == "");
    CHECK(Told(world) == "on: waiting: 0000:02:00.0: in use by qemu-system-x86 (pid 4711)");
    CHECK(Document(world).phase == "waiting");
    CHECK(Document(world).reason.find("pid 4711") != std::string::npos);
  });
  world.wakeup.Then([&] { world.machine.root.Remove("/proc/4711"); });
  world.wakeup.Pass(5);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("a virtual machine that runs hides its GPU's mode, and is left alone all the same") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.RunVirtualMachine(1, 4711);
  world.Restart();
  CHECK(world.Settle().status.ok());
  CHECK(world.ReadyState() == "true");

  world.SetMode("off");
  world.wakeup.Then([&] {
    CHECK(Told(world) == "off: waiting: 0000:02:00.0: in use by qemu-system-x86 (pid 4711)");
    CHECK(world.Resets() == 2);
    world.machine.EndVirtualMachine(1, 4711);
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
}

TEST_CASE("a wish that is taken back while waiting leaves all as it was") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}, {kVfio, "true"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.HoldOpen(0, 7, "qemu");
  world.SetMode("on");
  world.wakeup.Then([&] { world.SetMode("off"); });
  CHECK(world.Settle().status.ok());
  CHECK(NothingTouched(world));
  CHECK(world.ModeState() == "off");
  CHECK(world.ReadyState() == "false");
  CHECK(world.Label(kVfio) == "true");
}

TEST_CASE("refuse fails at once, force does not ask") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.machine.HoldOpen(0, 7, "qemu");
  SECTION("refuse") {
    world.settings.policy = WorkloadPolicy::kRefuse;
    world.Restart();
    const auto result = world.Settle();
    CHECK(absl::IsFailedPrecondition(result.status));
    CHECK(Text(result.status).find("qemu (pid 7)") != std::string::npos);
    CHECK(world.Resets() == 0);
  }
  SECTION("force") {
    world.settings.policy = WorkloadPolicy::kForce;
    world.Restart();
    CHECK(world.Settle().status.ok());
    CHECK(world.AllIn(Mode::kOn));
  }
}

TEST_CASE("pods that hold a GPU are waited for where they may be listed") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}}, /*admin=*/true);
  world.server->AddPod({.name = "llm", .node = "n", .limits = {{"nvidia.com/pgpu", "1"}}});
  world.server->AddPod({.name = "elsewhere", .node = "m", .limits = {{"nvidia.com/pgpu", "1"}}});
  world.wakeup.Then([&] {
    CHECK(Told(world) == "on: waiting: in use by pod default/llm");
    world.server->DeletePod("default", "llm");
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
  bool told = false;
  for (const std::string& event : world.server->events()) {
    told = told || event.find("in use by pod default/llm") != std::string::npos;
  }
  CHECK(told);
}

TEST_CASE("drain evicts pods within their budgets and waits for them to end") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}}, /*admin=*/true);
  world.settings.policy = WorkloadPolicy::kDrain;
  world.Restart();
  world.server->AddPod({.name = "llm",
                        .node = "n",
                        .labels = {{"app", "llm"}},
                        .limits = {{"nvidia.com/pgpu", "1"}},
                        .lingers = true});
  world.server->AddPod({.name = "web", .node = "n"});
  world.server->AddBudget({.name = "keep", .match = {{"app", "llm"}}, .allowed = 0});
  world.wakeup.Then([&] {
    CHECK(Told(world).find("keep") != std::string::npos);
    CHECK(world.server->HasPod("default", "llm"));
    world.server->AddBudget({.name = "keep", .match = {{"app", "llm"}}, .allowed = 1});
  });
  world.wakeup.Pass(1);
  world.wakeup.Then([&] {
    CHECK(world.Resets() == 0);
    world.server->DeletePod("default", "llm");
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
  CHECK(world.server->HasPod("default", "web"));
}

TEST_CASE("drain without the rights to it says which are missing") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.settings.policy = WorkloadPolicy::kDrain;
  world.Restart();
  const auto result = world.Settle();
  CHECK(absl::IsPermissionDenied(result.status));
  CHECK(NothingTouched(world));
}

TEST_CASE("our own plugin is asked in place: no label of an operand, no pod") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  const fake::OtherProcess plugin(world.machine.kernel, "sandbox-device-plugin");
  world.wakeup.Then([&] {
    CHECK(Document(world).devices.at(0).withdraw);
    CHECK_FALSE(Document(world).transition.empty());
    CHECK(NothingTouched(world));
    PluginAnswers(world, {"default/llm/main"});
  });
  world.wakeup.Then([&] {
    CHECK(Told(world) == "on: waiting: in use by pod default/llm");
    CHECK(NothingTouched(world));
    PluginAnswers(world);
  });
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
  CHECK_FALSE(Document(world).devices.at(0).withdraw);
}

TEST_CASE(
    "a plugin that does not answer is waited for, or fails the change; one that is gone is not "
    "asked") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.settings.policy = WorkloadPolicy::kRefuse;
  world.Restart();
  fake::OtherProcess plugin(world.machine.kernel, "sandbox-device-plugin");
  // An answer to another change is none.
  REQUIRE(service::Publish(world.machine.kernel,
                           {.daemon = "sandbox-device-plugin", .transition = "earlier"})
              .ok());
  world.wakeup.Pass(40);
  const auto result = world.Settle();
  CHECK(absl::IsDeadlineExceeded(result.status));
  CHECK(Text(result.status).find("restart it") != std::string::npos);
  CHECK(NothingTouched(world));
  plugin.Kill();
  CHECK(world.Settle().status.ok());
}

TEST_CASE("fifty changes of mind while waiting end in the last one, with one reset") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.machine.HoldOpen(0, 7, "qemu");
  for (int i = 0; i < 50; ++i) {
    world.wakeup.Then([&, i] { world.SetMode(i % 2 == 0 ? "devtools" : "on"); });
  }
  world.wakeup.Then([&] { world.machine.root.Remove("/proc/7"); });
  world.wakeup.Pass(30);  // so many patches take their time
  world.Settle();
  world.machine.clock.SleepFor(std::chrono::minutes(2));
  CHECK(world.Show().ok());
  CHECK(world.AllIn(Mode::kOn));
  CHECK(world.ModeState() == "on");
  CHECK(world.Resets() == 1);
}

TEST_CASE("a stop while waiting lets everybody back in and tells what is") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}, {kVfio, "true"}});
  REQUIRE(world.Settle().status.ok());
  AddOperands(world);
  world.server->HoldOperands();
  world.SetMode("on");
  world.wakeup.Then([&] { CHECK(world.Label(kVfio) == kToken); });
  world.wakeup.Then([&] { world.wakeup.Stop(); });
  CHECK(world.Settle().stopped);
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.ModeState() == "off");
  CHECK(world.ReadyState() == "false");
  CHECK(world.Resets() == 0);
}

TEST_CASE("a stop after the knobs were written disarms") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  world.wakeup.Stop();
  CHECK(world.Settle().stopped);
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  CHECK(world.ReadyState() == "false");
}
