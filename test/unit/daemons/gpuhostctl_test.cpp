// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/common/service/status_document.h"
#include "daemons/gpuhostctl/doctor.h"
#include "daemons/gpuhostctl/render.h"
#include "daemons/gpuhostctl/status.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

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

TEST_CASE("doctor takes the validator beside it, then that on the path") {
  fake::TempRoot root;
  const std::string own = root.Of("/own").string(), other = root.Of("/other").string();
  const auto missing = gpuhostctl::FindValidator(own, "relative:" + other);
  CHECK(absl::IsNotFound(missing.status()));
  CHECK(Text(missing.status()).find(own) != std::string::npos);

  const auto install = [&](const char* path) {
    root.File(path, "#!/bin/sh\n");
    std::filesystem::permissions(root.Of(path), std::filesystem::perms::owner_all);
  };
  install("/other/node-validator");
  CHECK(gpuhostctl::FindValidator(own, "relative:" + other).value() == other + "/node-validator");
  install("/own/node-validator");
  CHECK(gpuhostctl::FindValidator(own, other).value() == own + "/node-validator");
}
