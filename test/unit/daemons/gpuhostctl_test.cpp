// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/common/service/history.h"
#include "daemons/common/service/status_document.h"
#include "daemons/gpuhostctl/attestation.h"
#include "daemons/gpuhostctl/delegate.h"
#include "daemons/gpuhostctl/devices.h"
#include "daemons/gpuhostctl/events.h"
#include "daemons/gpuhostctl/render.h"
#include "daemons/gpuhostctl/status.h"
#include "daemons/gpuhostctl/top.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"
#include "test/fake/other_process.h"

using namespace gpuhost;
using cc::Mode;

namespace {

std::vector<gpuhostctl::Row> Status(fake::Machine& machine, bool ask = false) {
  return gpuhostctl::CollectStatus(machine.host(), ask).value();
}

}  // namespace

TEST_CASE("gpuhostctl shows what is there and writes nothing") {
  fake::Machine machine(2);
  machine.Bring(0, Mode::kDevtools);
  REQUIRE(service::Publish(machine.kernel,
                           {.daemon = "cc-manager",
                            .phase = "steady",
                            .devices = {{.bdf = "0000:01:00.0", .pending = "devtools"}}})
              .ok());
  machine.HoldOpen(0, 12, "qemu");
  machine.gpu(1).Set(vgpu::Fault::kDead);
  machine.gpu(0).ForbidBarWrites(true);
  const auto rows = Status(machine);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].model == "H100 PCIe");
  CHECK(rows[0].vfio_node == "/dev/vfio/1");
  CHECK(rows[0].mode == "devtools");
  CHECK(rows[0].pending == "devtools");
  CHECK(rows[0].in_use_by == "qemu (pid 12)");
  CHECK(rows[1].mode.empty());
  CHECK(rows[1].broken);
  CHECK(machine.gpu(0).counters().violations == 0);
}

TEST_CASE("a GPU that somebody changes is not touched by a look") {
  fake::Machine machine(2);
  machine.kernel.Lock("0000:01:00.0", /*in_reset=*/true);
  const auto lock = FileLock::Acquire(machine.kernel, machine.clock, "0000:01:00.0", {});
  const auto rows = Status(machine, true);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].mode.empty());
  CHECK_FALSE(rows[0].broken);
  CHECK(rows[0].note.find("is changing it") != std::string::npos);
  CHECK(rows[1].mode == "off");
  CHECK(machine.kernel.hangs().empty());
}

TEST_CASE("users that cannot be seen are unknown, not none") {
  fake::Machine machine(2);
  machine.HoldOpen(0, 12, "qemu");
  machine.root.Remove("/proc/2");  // no first PID namespace
  const auto rows = Status(machine, true);
  CHECK(rows[0].users_known);
  CHECK(rows[0].in_use_by == "qemu (pid 12)");
  CHECK_FALSE(rows[1].users_known);
  CHECK(rows[1].pending.empty());
  CHECK(rows[1].note.find("hostPID") != std::string::npos);
  CHECK(gpuhostctl::RenderJson(rows).find("\"users_known\": false") != std::string::npos);
}

TEST_CASE("a GPU armed by somebody else shows when the firmware is asked") {
  fake::Machine machine(2);
  machine.gpu(0).SetKnob(8, 1);
  machine.HoldOpen(1, 12, "qemu");
  CHECK(Status(machine)[0].pending.empty());
  const auto rows = Status(machine, true);
  CHECK(rows[0].mode == "off");
  CHECK(rows[0].pending == "on");
  CHECK(rows[1].note == "in use, firmware not asked");
  CHECK(gpuhostctl::RenderTable(rows).find("0000:01:00.0: armed: the next reset brings on") !=
        std::string::npos);
}

TEST_CASE("an interrupted change is still seen by a reader") {
  fake::Machine machine(1);
  REQUIRE(service::Publish(machine.kernel, {.daemon = "cc-manager",
                                            .phase = "arming",
                                            .target = "on",
                                            .devices = {{.bdf = "0000:01:00.0", .pending = "on"}}})
              .ok());
  const auto rows = Status(machine);
  CHECK(rows[0].mode == "off");
  CHECK(rows[0].pending == "on");
}

TEST_CASE("gpuhostctl devices tells what the plugin offers, and who has it") {
  fake::TempRoot root;
  HostFs fs(root.path());
  CHECK(absl::IsNotFound(gpuhostctl::RenderDevices(fs).status()));
  service::StatusDocument document{.daemon = "sandbox-device-plugin",
                                   .phase = "steady",
                                   .reason = "users are not known: no answer"};
  document.devices = {{.bdf = "0000:01:00.0",
                       .state = "offered",
                       .users = {{"default/a/main", "default/b/main"}},
                       .unit = "nvidia.com/pgpu=7"},
                      {.bdf = "0000:02:00.0",
                       .state = "withheld",
                       .error = "mode change in progress",
                       .unit = "nvidia.com/pgpu=10"}};
  REQUIRE(service::Publish(fs, document).ok());
  CHECK(*gpuhostctl::RenderDevices(fs) ==
        "BDF           UNIT                STATE     USERS\n"
        "0000:01:00.0  nvidia.com/pgpu=7   offered   default/a/main, default/b/main\n"
        "0000:02:00.0  nvidia.com/pgpu=10  withheld  unknown\n"
        "0000:02:00.0: mode change in progress\n"
        "users are not known: no answer\n"
        "sandbox-device-plugin does not run now\n");
  const fake::OtherProcess plugin(fs, "sandbox-device-plugin");
  CHECK(gpuhostctl::RenderDevices(fs)->find("does not run") == std::string::npos);

  root.File("/run/nvidia/gpuhost/sandbox-device-plugin.json", "{");
  CHECK(absl::IsDataLoss(gpuhostctl::RenderDevices(fs).status()));
}

TEST_CASE("the table is aligned and the JSON says the same") {
  const std::vector<gpuhostctl::Row> rows{
      {.bdf = "0000:01:00.0",
       .kind = "gpu",
       .model = "H100 PCIe",
       .driver = "vfio-pci",
       .iommu_group = 12,
       .vfio_node = "/dev/vfio/12",
       .mode = "on",
       .pending = "on"},
      {.bdf = "0000:02:00.0", .kind = "nvswitch", .model = "X"}};
  CHECK(gpuhostctl::RenderTable(rows) ==
        "BDF           MODEL      DRIVER    GROUP  VFIO NODE     CC MODE  PENDING\n"
        "0000:01:00.0  H100 PCIe  vfio-pci  12     /dev/vfio/12  on       on\n"
        "0000:02:00.0  X          -         -      -             ?        -\n");
  const std::string json = gpuhostctl::RenderJson(rows);
  CHECK(json.find("\"iommu_group\": 12") != std::string::npos);
  CHECK(json.find("\"mode\": null") != std::string::npos);
}

TEST_CASE("the mode of a machine is one word only when all devices agree") {
  fake::Machine machine(2);
  machine.Bring(0, Mode::kOn);
  machine.Bring(1, Mode::kOn);
  CHECK(gpuhostctl::RenderMode(Status(machine)) == "on\n");
  machine.Bring(1, Mode::kOff);
  CHECK(gpuhostctl::RenderMode(Status(machine)) == "0000:01:00.0 on\n0000:02:00.0 off\n");
  CHECK(gpuhostctl::RenderModeJson(Status(machine)) == "{\"schema\":1,\"mode\":null}\n");
  machine.gpu(0).Set(vgpu::Fault::kDead);
  machine.gpu(1).Set(vgpu::Fault::kDead);
  CHECK(gpuhostctl::CommonMode(Status(machine)).empty());
}

TEST_CASE("what a daemon looks after is not changed behind its back") {
  fake::Machine machine(1);
  CHECK(gpuhostctl::CheckNotAlive(machine.kernel, "cc-manager").ok());
  fake::OtherProcess daemon(machine.kernel, "cc-manager");
  const absl::Status refused = gpuhostctl::CheckNotAlive(machine.kernel, "cc-manager");
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK(Text(refused).find("nvidia.com/cc.mode") != std::string::npos);
  CHECK(gpuhostctl::CheckNotAlive(machine.kernel, "").ok());
}

TEST_CASE("another program of ours is the one beside it, then that on the path") {
  fake::TempRoot root;
  const std::string own = root.Of("/own").string(), other = root.Of("/other").string();
  const auto missing = gpuhostctl::FindProgram("node-validator", own, "relative:" + other);
  CHECK(absl::IsNotFound(missing.status()));
  CHECK(Text(missing.status()).find(own) != std::string::npos);

  const auto install = [&](const char* path) {
    root.File(path, "#!/bin/sh\n");
    std::filesystem::permissions(root.Of(path), std::filesystem::perms::owner_all);
  };
  install("/other/node-validator");
  CHECK(gpuhostctl::FindProgram("node-validator", own, "relative:" + other).value() ==
        other + "/node-validator");
  install("/own/node-validator");
  CHECK(gpuhostctl::FindProgram("node-validator", own, other).value() == own + "/node-validator");
}

TEST_CASE("changes of mode are told oldest first, and only so many are kept") {
  fake::Machine machine(1);
  CHECK(gpuhostctl::RenderEvents(machine.kernel, false).value() ==
        "no change of mode since this machine booted\n");
  for (uint64_t i = 1; i <= service::kKeptChanges + 1; ++i) {
    REQUIRE(service::Remember(machine.kernel, {.ended = 1800000000,
                                               .transition = fmt::format("t{}", i),
                                               .from = "off",
                                               .to = "on",
                                               .error = i == 5 ? "refused by the firmware" : "",
                                               .devices = i,
                                               .total = 2.04})
                .ok());
  }
  const std::string text = gpuhostctl::RenderEvents(machine.kernel, false).value();
  CHECK(text.find("2027-01-15T08:00:00Z  off   on  2     2.0      0.0  0.0    done    t2\n") !=
        std::string::npos);
  CHECK(text.find(" t1\n") == std::string::npos);
  CHECK(text.find(" failed  t5\n") != std::string::npos);
  CHECK(text.ends_with("t5: refused by the firmware\n"));
  CHECK(gpuhostctl::RenderEvents(machine.kernel, true).value().find("\"transition\": \"t33\"") !=
        std::string::npos);

  machine.root.File("/run/nvidia/gpuhost/cc-manager-changes.json", "{\"schema\": 7}");
  CHECK(absl::IsDataLoss(gpuhostctl::RenderEvents(machine.kernel, false).status()));
  REQUIRE(service::Remember(machine.kernel, {.transition = "new"}).ok());
  CHECK(service::ReadChanges(machine.kernel)->size() == 1);
}

TEST_CASE("top shows how far each device is, on any width") {
  service::StatusDocument document{.daemon = "cc-manager",
                                   .phase = "resetting",
                                   .target = "on",
                                   .transition = "abc",
                                   .devices = {{.bdf = "0000:01:00.0", .state = "off"}}};
  const std::string busy = gpuhostctl::RenderTop(document, true, 80, false);
  CHECK(busy ==
        "mode on: resetting (transition abc)\n"
        "0000:01:00.0  off       [########################................]  resetting\n");
  document.phase = "steady";
  document.devices[0].state = "on";
  CHECK(gpuhostctl::RenderTop(document, true, 80, true).find("\033[32m[####") != std::string::npos);
  document.phase = "failed";
  document.devices[0].error = "does not boot";
  const std::string failed = gpuhostctl::RenderTop(document, false, 40, false);
  CHECK(failed.find("cc-manager does not run now") != std::string::npos);
  CHECK(failed.find("[########]  failed\n0000:01:00.0: does not boot\n") != std::string::npos);
}

TEST_CASE("attestation tells whose evidence a verifier would accept") {
  fake::Machine machine(2);
  machine.Bring(0, Mode::kOn);
  const std::string text = gpuhostctl::RenderAttestation(Status(machine), "http://kbs:8080");
  CHECK(text.find("0000:01:00.0 H100 PCIe: can prove what it is") != std::string::npos);
  CHECK(text.find("0000:02:00.0 H100 PCIe: in mode off, so") != std::string::npos);
  CHECK(text.find("kernel_params: \"agent.aa_kbc_params=cc_kbc::http://kbs:8080\"") !=
        std::string::npos);
  CHECK(text.find("nvidia_verifier]\n    type = \"Remote\"\n") != std::string::npos);
  const std::string json = gpuhostctl::RenderAttestationJson(Status(machine), "http://kbs:8080");
  CHECK(json.find("\"able\": [\n    \"0000:01:00.0\"\n  ]") != std::string::npos);
}
