// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/allocate.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

using Strings = std::vector<std::string>;

std::vector<Listed> List(const std::vector<Listed>& before, const std::vector<Unit>& present) {
  return Relist(before, present, {}, {}, [](const Unit&) { return true; });
}

// GPUs at buses 1, 2, ... in groups 11, 12, ... with character devices 1, 2, ...
struct Bench {
  explicit Bench(Backend kind) : backend(kind) {
    for (uint8_t bus = 1; bus <= 3; ++bus) {
      devices.push_back({.bdf = {.bus = bus},
                         .vendor = pci::kNvidia,
                         .class_code = 0x030200,
                         .driver = "vfio-pci",
                         .iommu_group = 10u + bus,
                         .vfio_cdev = bus});
    }
    const Inventory inventory = BuildInventory(devices, {.iommufd = kind == Backend::kCdev}, {});
    listed = List({}, inventory.resources.at(0).units);
  }

  FindDevice find() const {
    return [this](const pci::Bdf& bdf) -> absl::StatusOr<pci::Device> {
      for (const pci::Device& device : devices) {
        if (device.bdf == bdf) return device;
      }
      return absl::NotFoundError("read vendor: No such file or directory");
    };
  }
  absl::StatusOr<Strings> Allocate(const Strings& ids) const {
    const auto allocation = sandbox_device_plugin::Allocate(listed, ids, find());
    if (!allocation.ok()) return allocation.status();
    return allocation->nodes;
  }
  std::string Refused(const Strings& ids) const {
    const auto nodes = Allocate(ids);
    CHECK(absl::IsFailedPrecondition(nodes.status()));
    return Text(nodes.status());
  }

  Backend backend;
  std::vector<pci::Device> devices;
  std::vector<Listed> listed;
};

}  // namespace

TEST_CASE("a container gets the container node once and each group") {
  const Bench bench(Backend::kGroup);
  CHECK(*bench.Allocate({"12"}) == Strings{"/dev/vfio/vfio", "/dev/vfio/12"});
  CHECK(*bench.Allocate({"13", "11"}) == Strings{"/dev/vfio/vfio", "/dev/vfio/13", "/dev/vfio/11"});
  CHECK(*bench.Allocate({"12", "12"}) == Strings{"/dev/vfio/vfio", "/dev/vfio/12"});
  CHECK(bench.Allocate({})->empty());
}

TEST_CASE("with iommufd a container gets character devices and nothing else") {
  const Bench bench(Backend::kCdev);
  CHECK(*bench.Allocate({"1", "3"}) ==
        Strings{"/dev/vfio/devices/vfio1", "/dev/vfio/devices/vfio3"});
}

TEST_CASE("ids that are not listed are invalid, whatever they are") {
  const Bench bench(Backend::kGroup);
  for (const std::string& id :
       {std::string("99"), std::string(), std::string("../11"), std::string(" 11"),
        std::string("1\0001", 3), std::string(1u << 20, '1')}) {
    const absl::Status status = bench.Allocate({id}).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(Text(status).size() < 200);
  }
  CHECK(absl::IsInvalidArgument(bench.Allocate({"11", "99"}).status()));
  CHECK(absl::IsInvalidArgument(bench.Allocate(Strings(1000, "11")).status()));
}

TEST_CASE("a unit that is listed as unhealthy is refused with its reason") {
  Bench bench(Backend::kGroup);
  bench.listed = List(bench.listed, {bench.listed[0].unit});
  CHECK(bench.Allocate({"11"}).ok());
  CHECK(bench.Refused({"12"}) == "device '12' (0000:02:00.0): is gone or no longer on vfio-pci");
}

TEST_CASE("devices are looked at again, for the list may be older than the machine") {
  Bench bench(Backend::kGroup);
  bench.devices[0].driver = "nvidia";
  bench.devices[1].driver.reset();
  CHECK(bench.Refused({"11"}).find("0000:01:00.0 has driver nvidia, not vfio-pci") == 0);
  CHECK(bench.Refused({"12"}).find("0000:02:00.0 has no driver, not vfio-pci") == 0);
  CHECK(bench.Refused({"13", "12"}).find("0000:02:00.0") == 0);
  bench.devices.clear();
  CHECK(bench.Refused({"13"}).find("0000:03:00.0 is not there: read vendor") == 0);
}

TEST_CASE("a device that was bound again under another number is refused") {
  Bench bench(Backend::kCdev);
  bench.devices[0].vfio_cdev = 7;
  bench.devices[1].vfio_cdev.reset();
  CHECK(bench.Refused({"1"}).find("is now /dev/vfio/devices/vfio7") != std::string::npos);
  CHECK(bench.Refused({"2"}).find("without a device node") != std::string::npos);
}

TEST_CASE("a container gets the addresses of its devices in the order of the request") {
  const Bench bench(Backend::kGroup);
  const auto allocation = Allocate(bench.listed, {"13", "11"}, bench.find());
  REQUIRE(allocation.ok());
  CHECK(allocation->bdfs == std::vector<pci::Bdf>{{.bus = 3}, {.bus = 1}});
}

TEST_CASE("a container may start with what it was given, if that is still what it was") {
  Bench bench(Backend::kCdev);
  bench.listed[0].problem = {Reason::kModeChange, "mode change in progress"};
  CHECK(CheckStart(bench.listed, {"1", "2"}, bench.find()).ok());
  bench.listed[0].problem = {Reason::kCheckpoint, "would get another's"};
  CHECK(Text(CheckStart(bench.listed, {"1"}, bench.find())) == "device '1': would get another's");
  bench.devices[1].vfio_cdev = 9;
  CHECK(absl::IsFailedPrecondition(CheckStart(bench.listed, {"2"}, bench.find())));
  CHECK(absl::IsInvalidArgument(CheckStart(bench.listed, {"x"}, bench.find())));
}
