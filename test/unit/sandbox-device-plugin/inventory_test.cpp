// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/inventory.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "daemons/sandbox-device-plugin/config_file.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

// A H100 on vfio-pci at 0000:<bus>:00.0, in a group.
pci::Device Gpu(uint8_t bus, uint32_t group, uint16_t id = 0x2331) {
  return {.bdf = {.bus = bus},
          .vendor = pci::kNvidia,
          .device = id,
          .class_code = 0x030200,
          .driver = "vfio-pci",
          .iommu_group = group,
          .numa_node = 0};
}

pci::Device WithCdev(pci::Device device, uint32_t number) {
  device.vfio_cdev = number;
  device.vfio_device = true;
  return device;
}

pci::Device Switch(uint8_t bus, uint32_t group) {
  pci::Device device = Gpu(bus, group, 0x22a3);
  device.class_code = 0x068000;
  return device;
}

Inventory InGroups(const std::vector<pci::Device>& devices, const Naming& naming = {}) {
  return BuildInventory(devices, {}, {.naming = naming});
}

Inventory InCdevs(const std::vector<pci::Device>& devices) {
  return BuildInventory(devices, {.iommufd = true, .shows_devices = true}, {});
}

std::vector<std::string> UnitIds(const Resource& resource) {
  std::vector<std::string> ids;
  for (const Unit& unit : resource.units) ids.push_back(unit.id);
  return ids;
}

using Strings = std::vector<std::string>;

// Of the only resource, in the order of addresses.
Strings IdsOf(const Inventory& inventory) {
  REQUIRE(inventory.resources.size() == 1);
  std::vector<Unit> units = inventory.resources[0].units;
  std::ranges::sort(units, {}, [](const Unit& unit) { return unit.bdfs.front(); });
  Strings ids;
  for (const Unit& unit : units) ids.push_back(unit.id);
  return ids;
}

}  // namespace

TEST_CASE("a unit is an IOMMU group, sorted by number") {
  const Inventory inventory = InGroups({Gpu(1, 100), Gpu(2, 9), Gpu(3, 21)});
  REQUIRE(inventory.resources.size() == 1);
  const Resource& gpus = inventory.resources[0];
  CHECK(gpus.name == "pgpu");
  CHECK(UnitIds(gpus) == Strings{"9", "21", "100"});
  CHECK(gpus.units[0] == Unit{.id = "9",
                              .backend = Backend::kGroup,
                              .bdfs = {{.bus = 2}},
                              .nodes = {"/dev/vfio/9"},
                              .numa_node = 0});
  CHECK(inventory.left_out.empty());
}

TEST_CASE("with iommufd a unit is named by its character device") {
  const Inventory inventory = InCdevs({WithCdev(Gpu(1, 4), 10), WithCdev(Gpu(2, 5), 2)});
  REQUIRE(inventory.resources.size() == 1);
  CHECK(UnitIds(inventory.resources[0]) == Strings{"2", "10"});
  CHECK(inventory.resources[0].units[0].nodes == Strings{"/dev/vfio/devices/vfio2"});
}

TEST_CASE("two devices in one group are one unit, for they have one owner") {
  const Inventory groups = InGroups({Gpu(1, 7), Gpu(2, 7), Gpu(3, 8)});
  REQUIRE(groups.resources.size() == 1);
  CHECK(UnitIds(groups.resources[0]) == Strings{"7", "8"});
  CHECK(groups.resources[0].units[0].bdfs.size() == 2);
  CHECK(groups.resources[0].units[0].nodes == Strings{"/dev/vfio/7"});

  const Inventory cdevs = InCdevs({WithCdev(Gpu(1, 7), 3), WithCdev(Gpu(2, 7), 1)});
  REQUIRE(cdevs.resources.size() == 1);
  CHECK(UnitIds(cdevs.resources[0]) == Strings{"1"});
  CHECK(cdevs.resources[0].units[0].nodes ==
        Strings{"/dev/vfio/devices/vfio3", "/dev/vfio/devices/vfio1"});
}

TEST_CASE("a group of different devices has the name of its first GPU") {
  const Naming models = *Naming::Create("", "");
  const Inventory two_models = InGroups({Gpu(1, 7, 0x2331), Gpu(2, 7, 0x2330)}, models);
  REQUIRE(two_models.resources.size() == 1);
  CHECK(two_models.resources[0].name == "GH100_H100_PCIE");

  const Inventory with_switch = InGroups({Switch(1, 7), Gpu(2, 7)});
  REQUIRE(with_switch.resources.size() == 1);
  CHECK(with_switch.resources[0].name == "pgpu");
  CHECK(with_switch.resources[0].units[0].bdfs.size() == 2);
}

TEST_CASE("models of one name are one resource") {
  const std::vector<pci::Device> devices{Gpu(1, 1, 0x2330), Gpu(2, 2, 0x2336), Switch(3, 3)};
  const Inventory aliased = InGroups(devices);
  REQUIRE(aliased.resources.size() == 2);
  CHECK(aliased.resources[0].name == "nvswitch");
  CHECK(aliased.resources[1].name == "pgpu");
  CHECK(UnitIds(aliased.resources[1]) == Strings{"1", "2"});

  const Naming models = *Naming::Create("", "");
  CHECK(InGroups(devices, models).resources.size() == 3);
  // Four ids are called GH100 and nothing more.
  CHECK(InGroups({Gpu(1, 1, 0x2302), Gpu(2, 2, 0x2343)}, models).resources.size() == 1);
  // Ids without a name do not fall together.
  CHECK(InGroups({Gpu(1, 1, 0xfffe), Gpu(2, 2, 0xfffd)}, models).resources.size() == 2);
}

// On vfio-pci of a kernel that shows it, without a character device.
pci::Device Registered(pci::Device device) {
  device.vfio_device = true;
  return device;
}

TEST_CASE("where iommufd is there and a character device is not, a unit is opened by its group") {
  const Inventory inventory = InCdevs({WithCdev(Gpu(1, 5), 3), Registered(Gpu(2, 9))});
  REQUIRE(inventory.resources.size() == 1);
  CHECK(UnitIds(inventory.resources[0]) == Strings{"3", "9"});
  CHECK(inventory.resources[0].units[0].nodes == Strings{"/dev/vfio/devices/vfio3"});
  CHECK(inventory.resources[0].units[1].nodes == Strings{"/dev/vfio/9"});

  // One node for each device: a group of which not all have one is opened as a group.
  const Inventory mixed = InCdevs({WithCdev(Gpu(1, 5), 3), Registered(Gpu(2, 5))});
  CHECK(mixed.resources.at(0).units.at(0).nodes == Strings{"/dev/vfio/5"});
}

TEST_CASE("the number of a group never stands for that of a character device") {
  const std::vector<pci::Device> devices{WithCdev(Gpu(1, 5), 3), Registered(Gpu(2, 3))};
  const Inventory inventory = InCdevs(devices);
  REQUIRE(inventory.resources.size() == 1);
  CHECK(UnitIds(inventory.resources[0]) == Strings{"3"});
  CHECK(inventory.resources[0].units[0].bdfs[0].bus == 1);
  REQUIRE(inventory.left_out.size() == 1);
  CHECK(inventory.left_out[0].bdf.bus == 2);
  CHECK(inventory.left_out[0].reason.find("--ids address") != std::string::npos);
  const Inventory by_address =
      BuildInventory(devices, {.iommufd = true, .shows_devices = true}, {.ids = Ids::kAddress});
  CHECK(UnitIds(by_address.resources.at(0)) == Strings{"0000:01:00.0", "0000:02:00.0"});
}

TEST_CASE("a device that its driver has not registered yet is not offered") {
  const Inventory inventory = InCdevs({WithCdev(Gpu(1, 5), 3), Gpu(2, 6)});
  CHECK(UnitIds(inventory.resources.at(0)) == Strings{"3"});
  REQUIRE(inventory.left_out.size() == 1);
  CHECK(inventory.left_out[0].reason.find("is being bound") == 0);
}

TEST_CASE("a node for confidential guests offers nothing that lacks iommufd") {
  const Inventory inventory =
      BuildInventory({WithCdev(Gpu(1, 5), 3), Registered(Gpu(2, 6))},
                     {.iommufd = true, .shows_devices = true}, {.require_iommufd = true});
  CHECK(UnitIds(inventory.resources.at(0)) == Strings{"3"});
  REQUIRE(inventory.left_out.size() == 1);
  CHECK(inventory.left_out[0].reason.find("--require-iommufd") != std::string::npos);
}

TEST_CASE("a unit is called by the address of its first GPU, if so wanted") {
  const Inventory inventory =
      BuildInventory({Switch(1, 7), Gpu(2, 7), Gpu(0xa0, 100)}, {}, {.ids = Ids::kAddress});
  CHECK(UnitIds(inventory.resources.at(0)) == Strings{"0000:02:00.0", "0000:a0:00.0"});
}

TEST_CASE("a unit keeps the id under which it is in use, until it is free") {
  std::set<std::string> used{"7", "0000:02:00.0"};
  const auto ids = [&](Ids mode) {
    return IdsOf(
        BuildInventory({Gpu(1, 7), Gpu(2, 8)}, {},
                       {.ids = mode, .in_use = [&](const std::string& name, const std::string& id) {
                          return name == "pgpu" && used.contains(id);
                        }}));
  };
  CHECK(ids(Ids::kAddress) == Strings{"7", "0000:02:00.0"});
  CHECK(ids(Ids::kNumber) == Strings{"7", "0000:02:00.0"});
  used = {"0000:02:00.0", "8"};  // under both: then it is called as is wanted
  CHECK(ids(Ids::kAddress) == Strings{"0000:01:00.0", "0000:02:00.0"});
  used.clear();
  CHECK(ids(Ids::kAddress) == Strings{"0000:01:00.0", "0000:02:00.0"});
  CHECK(ids(Ids::kNumber) == Strings{"7", "8"});
}

TEST_CASE("configuration names devices, excludes some, and knows other models") {
  const auto config = ParseConfigFile(R"({
    "resources": [{"name": "big", "devices": ["2335"]},
                  {"name": "lab", "addresses": ["0000:02:00.0", "0000:03:00.0"], "devices": ["2331"]}],
    "exclude": ["0000:05:00.0"],
    "names": {"3182": "GB110 [B300 SXM6 AC]"},
    "partitions": [["0000:01:00.0", "0000:02:00.0"], ["0000:03:00.0"]]})");
  REQUIRE(config.ok());
  const auto naming = Naming::Create("", std::nullopt, config->naming);
  REQUIRE(naming.ok());
  const Inventory inventory =
      InGroups({Gpu(1, 1, 0x2335), Gpu(2, 2), Gpu(3, 3, 0x3182), Gpu(4, 4), Gpu(5, 5)}, *naming);
  Strings names;
  for (const Resource& resource : inventory.resources) names.push_back(resource.name);
  CHECK(names == Strings{"GB110_B300_SXM6_AC", "GH100_H100_PCIE", "big", "lab"});
  CHECK(inventory.left_out.empty());
  CHECK(config->partitions == Partitions{{{.bus = 1}, {.bus = 2}}, {{.bus = 3}}});
}

TEST_CASE("configuration that is not understood is refused with what is wrong") {
  for (const char* text :
       {"", "[]", R"({"resource": []})", R"({"resources": {}})", R"({"resources": [{}]})",
        R"({"resources": [{"name": 1}]})", R"({"resources": [{"name": "a", "device": ["2331"]}]})",
        R"({"resources": [{"name": "a", "devices": []}]})", R"({"exclude": ["1:0.0"]})",
        R"({"exclude": [1]})", R"({"names": {"zz": "x"}})", R"({"names": {"2331": 1}})",
        R"({"partitions": []})", R"({"partitions": ["0000:01:00.0"]})",
        R"({"partitions": [["0000:01:00.0", 2]]})", R"({"partitions": [[]]})",
        R"({"partitions": [["0000:01:00.0", "0000:01:00.0"]]})"}) {
    CAPTURE(text);
    CHECK(absl::IsInvalidArgument(ParseConfigFile(text).status()));
  }
  CHECK(absl::IsInvalidArgument(Naming::Create({}, {}, {.resources = {{.name = "a/b"}}}).status()));
  CHECK(absl::IsInvalidArgument(Naming::Create({}, {}, {.resources = {{.name = ""}}}).status()));
}

TEST_CASE("a device without IOMMU group is left out and reported") {
  pci::Device bare = Gpu(1, 0);
  bare.iommu_group.reset();
  for (const bool iommufd : {false, true}) {
    const Inventory inventory = BuildInventory({WithCdev(bare, 0)}, {.iommufd = iommufd}, {});
    CHECK(inventory.resources.empty());
    REQUIRE(inventory.left_out.size() == 1);
    CHECK(inventory.left_out[0].reason.find("no IOMMU group") != std::string::npos);
  }
}

TEST_CASE("a NUMA node is told only when it is known and common") {
  pci::Device unknown = Gpu(1, 1), other = Gpu(3, 2);
  unknown.numa_node.reset();
  other.numa_node = 1;
  const Inventory inventory = InGroups({unknown, Gpu(2, 2), other, Gpu(4, 4)});
  REQUIRE(inventory.resources.size() == 1);
  const auto& units = inventory.resources[0].units;
  REQUIRE(units.size() == 3);
  CHECK_FALSE(units[0].numa_node);
  CHECK_FALSE(units[1].numa_node);
  CHECK(units[2].numa_node == 0);
}

TEST_CASE("what is not to be offered is passed over in silence") {
  pci::Device unbound = Gpu(1, 1), native = Gpu(2, 2), virtual_function = Gpu(3, 3);
  pci::Device audio = Gpu(4, 4), foreign = Gpu(5, 5), variant = Gpu(6, 6);
  unbound.driver.reset();
  native.driver = "nvidia";
  virtual_function.is_virtual_function = true;
  audio.class_code = 0x040300;
  foreign.vendor = 0x8086;
  variant.driver = "nvgrace_gpu_vfio_pci";
  const Inventory inventory =
      InGroups({unbound, native, virtual_function, audio, foreign, variant});
  REQUIRE(inventory.resources.size() == 1);
  CHECK(UnitIds(inventory.resources[0]) == Strings{"6"});
  CHECK(inventory.left_out.empty());
}

TEST_CASE("iommufd is seen by its node or, where a container lacks that, in sysfs") {
  fake::TempRoot root;
  const HostFs fs(root.path());
  CHECK_FALSE(FindKernel(fs).iommufd);
  CHECK_FALSE(FindKernel(fs).shows_devices);
  root.Directory("/sys/class/misc/iommu");
  CHECK(FindKernel(fs).iommufd);
  root.Remove("/sys/class/misc/iommu");
  root.File("/dev/iommu", "");
  root.Directory("/sys/class/vfio-dev");
  CHECK(FindKernel(fs).iommufd);
  CHECK(FindKernel(fs).shows_devices);
}
