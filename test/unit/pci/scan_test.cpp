// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/scan.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/names.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);

std::string Attribute(const std::string& bdf, const std::string& name) {
  return "/sys/bus/pci/devices/" + bdf + "/" + name;
}

}  // namespace

TEST_CASE("a scan finds NVIDIA functions and reads what sysfs tells") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:41:00.0", .device = 0x2330, .iommu_group = 42, .driver = "vfio-pci"});
  kernel.Add({.bdf = "0000:09:00.0", .device = 0x22a3, .class_code = 0x068000, .iommu_group = 7});
  kernel.Add({.bdf = "0000:41:00.1", .device = 0x1234, .class_code = 0x040300, .iommu_group = 42});
  kernel.Add({.bdf = "0000:00:02.0", .device = 0x2330, .vendor = 0x8086});
  root.Directory("/sys/bus/pci/devices/garbage");

  const auto devices = pci::ScanNvidia(kernel);
  REQUIRE(devices.ok());
  REQUIRE(devices->size() == 3);
  const pci::Device &nvswitch = (*devices)[0], &gpu = (*devices)[1], &audio = (*devices)[2];
  CHECK(nvswitch.kind() == pci::Kind::kNvSwitch);
  CHECK(audio.kind() == pci::Kind::kCompanion);
  CHECK(gpu.kind() == pci::Kind::kGpu);
  CHECK(gpu.bdf.ToString() == "0000:41:00.0");
  CHECK(gpu.device == 0x2330);
  CHECK(gpu.driver == "vfio-pci");
  CHECK(gpu.BoundToVfio());
  CHECK(gpu.iommu_group == 42u);
  CHECK(gpu.numa_node == 0);
  CHECK(gpu.reset_methods == "flr bus");
  CHECK_FALSE(gpu.guarded.ok());  // nobody asked
  CHECK_FALSE(nvswitch.driver);
}

// Linux 6.1 shows driver_override and sriov_numvfs under the device's lock, and an unbind that
// waits for a virtual machine holds that until the machine's end.
TEST_CASE("a scan never waits for a lock, and what it left out is unknown where there is one") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 4, .driver = "vfio-pci"});
  root.File(Attribute("0000:01:00.0", "sriov_numvfs"), "4\n");
  kernel.Lock("0000:01:00.0", /*in_reset=*/true);
  const auto devices = *pci::ScanNvidia(kernel);
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].driver == "vfio-pci");
  CHECK(pci::ReadGroup(kernel, 4).size() == 1);
  CHECK(absl::IsUnavailable(pci::ReadGuarded(kernel, devices[0], kGenerous).status()));
  CHECK(kernel.hangs().empty());
}

TEST_CASE("a missing or malformed attribute costs that attribute, not the scan") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = -1});
  kernel.Add({.bdf = "0000:02:00.0"});
  kernel.Add({.bdf = "0000:03:00.0"});
  for (const char* name : {"numa_node", "reset_method", "driver_override", "subsystem_device"}) {
    root.Remove(Attribute("0000:01:00.0", name));
  }
  root.File(Attribute("0000:02:00.0", "class"), "nonsense\n");
  root.File(Attribute("0000:03:00.0", "numa_node"), "-1\n");

  const auto devices = pci::ScanNvidia(kernel);
  REQUIRE(devices.ok());
  REQUIRE(devices->size() == 2);
  const pci::Device& bare = (*devices)[0];
  CHECK_FALSE(bare.numa_node);
  CHECK_FALSE(bare.reset_methods);
  CHECK_FALSE(pci::ReadGuarded(kernel, bare, kGenerous)->driver_override);
  CHECK(pci::ReadGuarded(kernel, (*devices)[1], kGenerous)->driver_override == "");
  CHECK_FALSE(bare.iommu_group);
  CHECK((*devices)[1].bdf.ToString() == "0000:03:00.0");
  CHECK_FALSE((*devices)[1].numa_node);
}

TEST_CASE("a VFIO character device counts only with its number") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0"});
  const auto cdev = [&] { return pci::ScanNvidia(kernel)->at(0).vfio_cdev; };
  CHECK_FALSE(cdev());
  root.Directory(Attribute("0000:01:00.0", "vfio-dev/vfio3"));
  CHECK_FALSE(cdev());
  root.File(Attribute("0000:01:00.0", "vfio-dev/vfio3/dev"), "511:3\n");
  CHECK(cdev() == 3u);
}

TEST_CASE("no PCI bus and no IOMMU are told") {
  fake::TempRoot root;
  const HostFs fs(root.path());
  CHECK(absl::IsNotFound(pci::ScanNvidia(fs).status()));
  CHECK_FALSE(pci::HasIommu(fs));
  root.Directory("/sys/kernel/iommu_groups");
  CHECK_FALSE(pci::HasIommu(fs));
  root.Directory("/sys/kernel/iommu_groups/0");
  CHECK(pci::HasIommu(fs));
}

TEST_CASE("names come from the pinned table, else from pci.ids, else the id stands for itself") {
  CHECK(pci::DeviceName(0x2331) == "GH100 [H100 PCIe]");
  CHECK(pci::ModelName(0x2331) == "H100 PCIe");
  CHECK(pci::ModelName(0x2342) == "GH200 120GB / 480GB");
  CHECK(pci::ModelName(0x2302) == "GH100");
  CHECK(pci::DeviceName(0x1eb8) == "TU104GL [Tesla T4]");
  CHECK(pci::DeviceName(0xfffe).empty());
  CHECK(pci::ModelName(0xfffe) == "10de:fffe");
}

TEST_CASE("names of other models come from pci.ids, whatever is in it") {
  fake::TempRoot root;
  const std::string file = root.Of("/pci.ids").string();
  const auto name = [&](const std::string& text) {
    root.File("/pci.ids", text);
    return pci::DeviceName(0x1eb8, file);
  };
  CHECK(pci::DeviceName(0x1eb8, file).empty());
  CHECK(name("10de  NVIDIA\n\t1eb8  TU104GL [Tesla T4]\n") == "TU104GL [Tesla T4]");
  CHECK(name("1002  AMD\n\t1eb8  Another\n10de  NVIDIA\n\t1eb7  T3\n").empty());
  CHECK(name("C 03  Display\n\t1e  8\n\t1eb8  Nothing\n").empty());
  CHECK(name("10de  NVIDIA\n\t\t1eb8 1234  Subsystem\n\t1eb8\n").empty());
  CHECK(name(std::string("\0\xff 10de\n\t1eb8", 14)).empty());
  CHECK(name("10de  NVIDIA\n\t1eb8  " + std::string(5000, 'x') + "\n").size() < 256);
  // Those compiled in are not asked for.
  root.File("/pci.ids", "10de  NVIDIA\n\t2331  Another\n");
  CHECK(pci::DeviceName(0x2331, file) == "GH100 [H100 PCIe]");
}

TEST_CASE("a group's members are of any vendor; consumers and virtual functions are read") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .class_code = 0x030000, .iommu_group = 4});
  kernel.Add({.bdf = "0000:00:01.0", .class_code = 0x060400, .vendor = 0x8086, .iommu_group = 4});
  root.Link("/sys/kernel/iommu_groups/4/devices/0000:09:00.0", "nowhere");
  const std::string gpu = "/sys/bus/pci/devices/0000:01:00.0";
  root.Link(gpu + "/consumer:pci:0000:01:00.1", "x");
  root.Link(gpu + "/consumer:pci:broken", "x");
  root.Link(gpu + "/supplier:pci:0000:00:01.0", "x");
  root.File(gpu + "/sriov_numvfs", "16\n");
  const auto members = pci::ReadGroup(kernel, 4);
  REQUIRE(members.size() == 2);
  CHECK(members[0].IsBridge());
  CHECK_FALSE(members[1].IsBridge());
  REQUIRE(members[1].consumers.size() == 1);
  CHECK(members[1].consumers[0].ToString() == "0000:01:00.1");
  CHECK(pci::ReadGuarded(kernel, members[1], kGenerous)->virtual_functions == 16);
  CHECK(members[1].modalias == "pci:v000010DEd00002331sv000010DEsd00001626bc03sc00i00");
  CHECK(pci::ReadGroup(kernel, 5).empty());
}
