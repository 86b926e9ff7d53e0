// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/cc-manager/manager.h"
#include "daemons/cc-manager/run.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/status_document.h"
#include "daemons/gpuhostctl/render.h"
#include "daemons/gpuhostctl/status.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;

namespace {

int Run(fake::Machine& machine, Mode mode, bool force = false) {
  cc_manager::FixedTarget target(mode);
  return cc_manager::RunOnce(machine.host(), target, force, machine.clock.Now());
}

std::vector<gpuhostctl::Row> Status(fake::Machine& machine, bool ask = false) {
  return gpuhostctl::CollectStatus(machine.host(), ask).value();
}

}  // namespace

TEST_CASE("cc-manager switches all GPUs and publishes what it did") {
  fake::Machine machine(4);
  CHECK(Run(machine, Mode::kOn) == service::kDone);
  for (size_t i = 0; i < machine.size(); ++i) CHECK((machine.gpu(i).mode_word() & 3) == 1);

  const auto document = service::ReadStatusDocument(machine.kernel, "cc-manager");
  REQUIRE(document.ok());
  CHECK(document->phase == "steady");
  CHECK(document->target == "on");
  CHECK(document->generation == 3);  // arming, resetting, steady
  REQUIRE(document->devices.size() == 4);
  CHECK(document->devices[3].bdf == "0000:04:00.0");
  CHECK(document->devices[3].state == "on");
  CHECK(document->devices[3].pending == "on");
}

TEST_CASE("a GPU in use refuses the change and nothing is touched") {
  fake::Machine machine(2);
  machine.HoldOpen(1, 4711, "qemu-system-x86");
  CHECK(Run(machine, Mode::kOn) == service::kFailed);
  CHECK(machine.kernel.writes().empty());
  CHECK(machine.gpu(0).counters().bar_writes == 0);
  CHECK(machine.gpu(1).counters().bar_writes == 0);
  CHECK(Run(machine, Mode::kOn, /*force=*/true) == service::kDone);
}

TEST_CASE("a GPU in use that is in the mode already is not spoken to") {
  fake::Machine machine(2);
  REQUIRE(Run(machine, Mode::kOn) == service::kDone);
  const auto before = machine.gpu(1).counters();
  machine.HoldOpen(1, 4711, "qemu-system-x86");
  CHECK(Run(machine, Mode::kOn) == service::kDone);
  CHECK(machine.gpu(1).counters().bar_writes == before.bar_writes);
  CHECK(machine.gpu(1).counters().config_writes == before.config_writes);
}

TEST_CASE("a machine without GPUs, a dead GPU and missing attributes are one line and no change") {
  fake::Machine none(0);
  CHECK(Run(none, Mode::kOff) == service::kImpossible);

  fake::Machine dead(2);
  dead.gpu(0).Set(vgpu::Fault::kDead);
  CHECK(Run(dead, Mode::kOn) == service::kFailed);
  CHECK(dead.gpu(1).counters().bar_writes == 0);

  fake::Machine bare(2);
  for (const char* name : {"numa_node", "driver_override"}) {
    bare.root.Remove("/sys/bus/pci/devices/0000:01:00.0/" + std::string(name));
  }
  CHECK(Run(bare, Mode::kOn) == service::kDone);
  bare.root.Remove("/sys/bus/pci/devices/0000:01:00.0/reset_method");
  CHECK(Run(bare, Mode::kOff) == service::kFailed);
}

TEST_CASE("a plan is printed without touching anything") {
  fake::Machine machine(2);
  const auto plan = cc_manager::DescribePlan(machine.host(), Mode::kOn, /*force=*/false);
  REQUIRE(plan.ok());
  CHECK(plan->find("0000:02:00.0: knob-2=0") != std::string::npos);
  CHECK(machine.gpu(0).counters().bar_writes == 0);
  CHECK(machine.kernel.writes().empty());
}

TEST_CASE("gpuhostctl shows what is there and writes nothing") {
  fake::Machine machine(2);
  REQUIRE(Run(machine, Mode::kDevtools) == service::kDone);
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
