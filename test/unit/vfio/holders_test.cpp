// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/holders.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/modules.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;

TEST_CASE("who has a VFIO node or an nvidia node open is found") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 11, .driver = "vfio-pci"});
  kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 12, .driver = "nvidia"});
  kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  root.File("/sys/bus/pci/devices/0000:03:00.0/vfio-dev/vfio5/dev", "511:5\n");
  root.File("/proc/driver/nvidia/gpus/0000:02:00.0/information", "Model: x\nDevice Minor: \t 3\n");
  root.File("/proc/100/comm", "qemu-system-x86\n");
  root.Link("/proc/100/fd/3", "/dev/vfio/11");
  root.Link("/proc/100/fd/4", "/dev/vfio/11");
  root.Link("/proc/100/fd/5", "socket:[1]");
  root.File("/proc/200/comm", "python3\n");
  root.Link("/proc/200/fd/3", "/dev/nvidia3");
  root.File("/proc/300/comm", "vmm\n");
  root.Link("/proc/300/fd/3", "/dev/vfio/devices/vfio5");
  root.File("/proc/400/comm", "gone\n");  // ended between the two reads: no fd directory
  root.Directory("/proc/self");

  const auto devices = *pci::ScanNvidia(kernel);
  const auto holders = vfio::FindHolders(kernel, devices);
  REQUIRE(holders.size() == 3);
  CHECK(vfio::ToString(holders.at(devices[0].bdf)) == "qemu-system-x86 (pid 100)");
  CHECK(vfio::ToString(holders.at(devices[1].bdf)) == "python3 (pid 200)");
  CHECK(vfio::ToString(holders.at(devices[2].bdf)) == "vmm (pid 300)");
}

TEST_CASE("a node is known by its number, under whatever path a container has it") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 11, .driver = "vfio-pci"});
  kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 12, .driver = "vfio-pci"});
  root.File("/sys/class/vfio/11/dev", "1:3\n");  // that of /dev/null, so that there is one to open
  root.File("/sys/class/vfio/12/dev", "1:99\n");
  root.File("/proc/100/comm", "qemu\n");
  root.Link("/proc/100/fd/3", "/dev/null");
  root.Link("/proc/100/fd/4", "/dev/zero");
  const auto holders = vfio::FindHolders(kernel, *pci::ScanNvidia(kernel));
  REQUIRE(holders.size() == 1);
  CHECK(holders.begin()->first.ToString() == "0000:01:00.0");
}

TEST_CASE("group 1 is not group 11") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  root.File("/proc/100/comm", "qemu\n");
  root.Link("/proc/100/fd/3", "/dev/vfio/11");
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).empty());
}

TEST_CASE("a driver's module is loaded only when it is missing") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  std::vector<std::string> loaded;
  const vfio::LoadModule load = [&](const std::string& name) {
    loaded.push_back(name);
    kernel.AddDriver(name);
    return absl::OkStatus();
  };
  CHECK(vfio::EnsureDriver(kernel, "vfio-pci", load).ok());
  CHECK(vfio::EnsureDriver(kernel, "vfio-pci", load).ok());
  CHECK(loaded == std::vector<std::string>{"vfio-pci"});

  const vfio::LoadModule fails = [](const std::string&) {
    return absl::UnknownError("modprobe: module not found");
  };
  const absl::Status status = vfio::EnsureDriver(kernel, "other", fails);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(std::string(status.message()).find("module not found") != std::string::npos);
}
