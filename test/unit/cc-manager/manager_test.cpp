// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/manager.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using vgpu::Fault;

namespace {

service::StatusDocument Document(NodeWorld& world) {
  return service::ReadStatusDocument(world.machine.kernel, "cc-manager").value();
}

}  // namespace

TEST_CASE("the label is followed, and cc.ready.state is empty before anything is written") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true,
                  {{kMode, "on"}, {"nvidia.com/cc.ready.state", "false"}, {"zone", "a"}});
  std::string ready_at_first_write = "no write";
  world.machine.kernel.OnWrite([&](const std::string&) {
    if (ready_at_first_write == "no write") ready_at_first_write = world.ReadyState();
  });
  CHECK(world.Settle().status.ok());
  CHECK(ready_at_first_write == "");
  CHECK(world.AllIn(Mode::kOn));
  CHECK(world.ModeState() == "on");
  CHECK(world.ReadyState() == "true");
  CHECK(world.Label(kMode) == "on");
  CHECK(world.Label("zone") == "a");
  CHECK(world.server->patches().size() == 2);  // begun, done

  CHECK(Document(world).phase == "steady");
  CHECK(Document(world).transition.empty());
  CHECK_FALSE(Document(world).devices.at(1).withdraw);
}

TEST_CASE("a pass that finds everything in place writes nothing") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  CHECK(world.server->patches().size() == 1);
  const auto bar_writes = world.machine.gpu(0).counters().bar_writes;
  CHECK(world.Settle().status.ok());
  CHECK(world.Show().ok());
  CHECK(world.server->patches().size() == 1);
  CHECK(world.machine.gpu(0).counters().bar_writes == bar_writes);
}

TEST_CASE("every pair of modes, by label, on GPUs and switches") {
  for (const std::string from : {"off", "on", "devtools", "ppcie"}) {
    NodeWorld world({"h100-sxm", "h100-sxm", "nvswitch"}, true, {{kMode, from}});
    REQUIRE(world.Settle().status.ok());
    for (const std::string to : {"ppcie", "off", "devtools", "on", "off", "ppcie", "on"}) {
      CAPTURE(from, to);
      world.SetMode(to);
      const uint64_t before = world.Resets();
      CHECK(world.Settle().status.ok());
      CHECK(world.AllIn(*cc::ParseMode(to)));
      CHECK(world.ModeState() == to);
      CHECK(world.Resets() - before <= 3);
    }
  }
}

TEST_CASE("the default holds where there is no label, and again when the label goes") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "devtools"}});
  world.fallback = Mode::kOn;
  REQUIRE(world.Settle().status.ok());
  CHECK(world.ModeState() == "devtools");
  world.server->SetLabels("n", {{kMode, std::nullopt}});
  REQUIRE(world.Settle().status.ok());
  CHECK(world.ModeState() == "on");
  world.SetMode("");
  REQUIRE(world.Settle().status.ok());
  CHECK(world.ModeState() == "on");
}

TEST_CASE("a label that is no mode changes nothing, disturbs nobody and shows as failed") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "always"}, {kVfio, "true"}});
  const auto result = world.Settle();
  CHECK(absl::IsInvalidArgument(result.status));
  CHECK(world.ModeState() == "failed");
  CHECK(world.ReadyState() == "");
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  for (const auto& patch : world.server->patches()) {
    CHECK(patch.body.find("gpu.deploy") == std::string::npos);
  }
  CHECK_FALSE(world.manager->HasWork(result, false));
  world.SetMode("on");
  CHECK(world.manager->HasWork(result, false));
  CHECK(world.Settle().status.ok());
}

TEST_CASE("a node that cannot have the mode as a whole is not touched") {
  NodeWorld world({"h100-pcie", "a100"}, true, {{kMode, "on"}, {kVfio, "true"}});
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(world.ModeState() == "failed");
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.Resets() == 0);
  CHECK(world.server->AnnotationsOf("n").at(kStatusAnnotation).find("GA100") != std::string::npos);
  world.SetMode("off");
  CHECK(world.Settle().status.ok());
  CHECK(world.ReadyState() == "false");
}

TEST_CASE("a node without GPUs gets no state, and whoever waits for us may go on") {
  NodeWorld world({}, true, {{kMode, "on"}});
  world.settings.readiness_file = kReadinessFile;
  world.Restart();
  CHECK(world.Settle().status.ok());
  CHECK(world.manager->stand().no_gpus);
  CHECK(world.ModeState() == "absent");
  CHECK(world.machine.kernel.Exists(kReadinessFile));
}

TEST_CASE("a node that cannot be asked for is left alone") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  for (const int code : {401, 403, 404, 500}) {
    world.server->Refuse(2, code);  // a 401 is tried twice
    CHECK_FALSE(world.Settle().status.ok());
    world.server->ClearFaults();
  }
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  CHECK(world.ModeState() == "absent");
  CHECK(world.Settle().status.ok());
}

TEST_CASE("whoever may not write the node's labels changes nothing") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.server->AddFault({.match = "PATCH", .times = 9, .code = 403});
  CHECK(absl::IsPermissionDenied(world.Settle().status));
  CHECK(world.Resets() == 0);
  world.server->ClearFaults();
  CHECK(world.Settle().status.ok());
}

TEST_CASE("one pass does not wait for an API server that is busy") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.settings.patient = false;
  world.Restart();
  world.server->AddFault({.match = "PATCH", .times = 9, .code = 500});
  CHECK(absl::IsUnavailable(world.Settle().status));
  CHECK(world.Resets() == 0);
}

TEST_CASE("a device that fails shows as failed with its cause, and the others are verified") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  world.machine.gpu(1).Set(Fault::kDeadAfterReset);
  const auto result = world.Settle();
  CHECK_FALSE(result.status.ok());
  CHECK(result.reset);
  CHECK(world.machine.Effective(0) == cc::State::kOn);
  CHECK(world.ModeState() == "failed");
  CHECK(world.ReadyState() == "");
  CHECK(world.server->AnnotationsOf("n").at(kStatusAnnotation).find("0000:02:00.0") !=
        std::string::npos);
  const auto document = Document(world);
  CHECK(document.phase == "failed");
  CHECK(document.devices.at(0).error.empty());
  CHECK_FALSE(document.devices.at(1).error.empty());
}

TEST_CASE("the readiness file is gone while a change is under way") {
  const bool strict = GENERATE(false, true);
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.settings.readiness_file = kReadinessFile;
  world.settings.readiness_strict = strict;
  world.Restart();
  world.machine.root.File(kReadinessFile, "left by a process that was killed");
  bool there_at_reset = true;
  world.machine.kernel.OnWrite(
      [&](const std::string&) { there_at_reset = world.machine.kernel.Exists(kReadinessFile); });
  REQUIRE(world.Settle().status.ok());
  CHECK_FALSE(there_at_reset);
  CHECK(world.machine.kernel.Exists(kReadinessFile));
  world.machine.gpu(0).Set(Fault::kRpcSilent);
  world.SetMode("off");
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(world.machine.kernel.Exists(kReadinessFile) == !strict);
}

TEST_CASE("labels that somebody else spoils are set right again") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  REQUIRE(world.Settle().status.ok());
  world.server->SetLabels(
      "n", {{"nvidia.com/cc.ready.state", "maybe"}, {"nvidia.com/cc.mode.state", std::nullopt}});
  CHECK(world.Show().ok());
  CHECK(world.ModeState() == "on");
  CHECK(world.ReadyState() == "true");
  CHECK(world.Resets() == 1);
}

TEST_CASE("a GPU that somebody armed is disarmed at the start, without a reset") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "off"}});
  world.machine.gpu(1).SetKnob(8, 1);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
}

TEST_CASE("cc.capable follows hardware and host") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  world.settings.label_capable = true;
  world.Restart();
  REQUIRE(world.Settle().status.ok());
  CHECK(world.Label("nvidia.com/cc.capable") == "absent");
  world.machine.root.File("/sys/module/kvm_amd/parameters/sev_snp", "Y\n");
  REQUIRE(world.Settle().status.ok());
  CHECK(world.Label("nvidia.com/cc.capable") == "true");
}

TEST_CASE("without Kubernetes the same happens, and only the status document tells") {
  NodeWorld world({"h100-pcie"}, false);
  world.fallback = Mode::kDevtools;
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kDevtools));
  CHECK(Document(world).target == "devtools");
}

TEST_CASE("events tell the node's story, and whoever may not write them goes without") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  CHECK(world.Settle().status.ok());
  CHECK(world.server->events().empty());  // the operator's rights have no events
}

TEST_CASE("what is patched is ours alone, and only deploy labels are tied to a version") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}, {kVfio, "true"}});
  REQUIRE(world.Settle().status.ok());
  REQUIRE(world.server->patches().size() == 3);  // begun, paused, done
  for (const auto& patch : world.server->patches()) {
    const bool operands = patch.body.find("gpu.deploy") != std::string::npos;
    CHECK((patch.body.find("resourceVersion") != std::string::npos) == operands);
    std::string rest = patch.body;
    for (const char* around :
         {"\"metadata\":", "\"labels\":", "\"annotations\":", "\"resourceVersion\":"}) {
      if (const size_t at = rest.find(around); at != rest.npos) rest.erase(at, std::strlen(around));
    }
    for (size_t at = 0; (at = rest.find("\":", at)) != rest.npos; ++at) {
      const size_t start = rest.rfind('"', at - 1) + 1;
      CHECK(rest.substr(start, 11) == "nvidia.com/");
    }
  }
}
