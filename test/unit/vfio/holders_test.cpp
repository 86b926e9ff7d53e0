// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/holders.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/scan.h"
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
  const auto holders = vfio::FindHolders(kernel, devices).by_device;
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
  const auto holders = vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device;
  REQUIRE(holders.size() == 1);
  CHECK(holders.begin()->first.ToString() == "0000:01:00.0");
}

TEST_CASE("group 1 is not group 11") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  root.File("/proc/100/comm", "qemu\n");
  root.Link("/proc/100/fd/3", "/dev/vfio/11");
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.empty());
}

TEST_CASE("what an ordinary driver made of a device is looked for, too") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nouveau"});
  kernel.Add({.bdf = "0000:01:00.1", .iommu_group = 1, .driver = "snd_hda_intel"});
  root.File("/sys/bus/pci/devices/0000:01:00.0/drm/card0/dev", "1:3\n");  // that of /dev/null
  root.File("/sys/bus/pci/devices/0000:01:00.1/sound/card0/pcmC0D3p/dev", "1:5\n");  // /dev/zero
  root.File("/proc/100/comm", "Xorg\n");
  root.Link("/proc/100/fd/3", "/dev/null");
  root.File("/proc/200/comm", "pulseaudio\n");
  root.Link("/proc/200/fd/3", "/dev/zero");
  const auto devices = *pci::ScanNvidia(kernel);
  const auto holders = vfio::FindHolders(kernel, devices).by_device;
  REQUIRE(holders.size() == 2);
  CHECK(holders.at(devices[0].bdf)[0].command == "Xorg");
  CHECK(holders.at(devices[1].bdf)[0].command == "pulseaudio");
}

TEST_CASE("a holder's pod is read from its cgroup, of either driver") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  root.File("/proc/100/comm", "qemu\n");
  root.Link("/proc/100/fd/3", "/dev/vfio/1");
  const auto text = [&](const std::string& cgroup) {
    root.File("/proc/100/cgroup", cgroup + "\n");
    return vfio::ToString(
        vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.begin()->second);
  };
  const std::string with_pod = "qemu (pid 100, pod 8d1c0b5e-1111-2222-3333-444455556666)";
  CHECK(text("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-"
             "pod8d1c0b5e_1111_2222_3333_444455556666.slice/cri-containerd-abc.scope") == with_pod);
  CHECK(text("5:memory:/kubepods/besteffort/pod8d1c0b5e-1111-2222-3333-444455556666/abc") ==
        with_pod);
  for (const char* none : {"0::/system.slice/libvirtd.service", "0::/kubepods.slice/x",
                           "0::/kubepods/podshort", "0::/user/pod8d1c0b5e-1111-2222"}) {
    CHECK(text(none) == "qemu (pid 100)");
  }
}
