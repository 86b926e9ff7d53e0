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
  kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 12, .driver = "vfio-pci"});
  kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  root.File("/sys/bus/pci/devices/0000:03:00.0/vfio-dev/vfio5/dev", "511:5\n");
  kernel.HoldOpen(100, "qemu-system-x86", "/sys/class/vfio/11/dev");
  kernel.HoldOpen(100, "qemu-system-x86", "/sys/class/vfio/11/dev");
  root.Link("/proc/100/fd/5", "socket:[1]");
  kernel.HoldOpen(300, "vmm", "/sys/class/vfio-dev/vfio5/dev");
  root.File("/proc/400/comm", "gone\n");  // ended between the two reads: no fd directory
  root.Directory("/proc/self");

  const auto devices = *pci::ScanNvidia(kernel);
  const vfio::Holders holders = vfio::FindHolders(kernel, devices);
  CHECK(holders.complete.ok());
  REQUIRE(holders.by_device.size() == 2);
  CHECK(vfio::ToString(holders.by_device.at(devices[0].bdf)) == "qemu-system-x86 (pid 100)");
  CHECK(vfio::ToString(holders.by_device.at(devices[2].bdf)) == "vmm (pid 300)");
}

TEST_CASE("the nvidia driver's nodes are known by the number that the kernel gave it") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 12, .driver = "nvidia"});
  kernel.HoldNvidia(200, "python3", "0000:02:00.0");
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.size() == 1);
  root.File("/proc/devices", "  1 mem\n195 nvidia-frontend\n");
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.empty());
}

TEST_CASE("the number of a node decides, and not what a file is called") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 11, .driver = "vfio-pci"});
  root.Link("/proc/100/fd/3", "/dev/vfio/11");  // a name without a device
  root.File("/tmp/dev/vfio/11", "");
  root.Link("/proc/100/fd/4", root.path() + "/tmp/dev/vfio/11");  // an ordinary file
  root.Link("/proc/100/fd/5", "/dev/zero");                       // another device
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.empty());
  // In a container, a node lies anywhere.
  kernel.HoldOpen(100, "qemu", "/sys/class/vfio/11/dev");
  CHECK(vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device.size() == 1);
}

TEST_CASE("what an ordinary driver made of a device is looked for, too") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nouveau"});
  kernel.Add({.bdf = "0000:01:00.1", .iommu_group = 1, .driver = "snd_hda_intel"});
  kernel.HoldOpen(100, "Xorg", "/sys/bus/pci/devices/0000:01:00.0/drm/card0/dev");
  kernel.HoldOpen(200, "pulseaudio", "/sys/bus/pci/devices/0000:01:00.1/sound/card0/pcmC0D3p/dev");
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
  kernel.HoldOpen(100, "qemu", "/sys/class/vfio/1/dev");
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

TEST_CASE("who uses NVSwitches, MIG instances, frame buffers or what hangs on USB is found") {
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  const auto users = [&] { return vfio::FindHolders(kernel, *pci::ScanNvidia(kernel)).by_device; };
  SECTION("Fabric Manager, of all switches, as it is not told which is which") {
    for (const char* bdf : {"0000:01:00.0", "0000:02:00.0"}) {
      kernel.Add(
          {.bdf = bdf, .device = 0x22a3, .class_code = 0x068000, .driver = "nvidia-nvswitch"});
    }
    root.File("/proc/devices", "  1 nvidia-nvswitch\n");
    root.Link("/proc/100/fd/3", "/dev/null");  // 1:3, as which the driver has its switch 3
    CHECK(users().size() == 2);
    root.File("/proc/devices", "  1 mem\n508 nvidia-nvswitch\n");
    CHECK(users().empty());
  }
  SECTION("the owner of a MIG instance") {
    kernel.Add({.bdf = "0000:01:00.0", .driver = "nvidia"});
    root.File("/proc/devices", "  1 mem\n  1 nvidia-caps\n");
    root.File("/proc/driver/nvidia/gpus/0000:01:00.0/information", "Device Minor: \t 0\n");
    root.File("/proc/driver/nvidia/capabilities/gpu0/mig/gi3/access",
              "DeviceFileMinor: 3\nDeviceFileMode: 256\n");
    root.Link("/proc/100/fd/3", "/dev/null");
    CHECK(users().size() == 1);
  }
  SECTION("a frame buffer, and an input device on USB") {
    kernel.Add({.bdf = "0000:01:00.0", .driver = "nvidiafb"});
    kernel.Add({.bdf = "0000:01:00.2", .class_code = 0x0c0330, .driver = "xhci_hcd"});
    kernel.HoldOpen(100, "Xorg", "/sys/bus/pci/devices/0000:01:00.0/graphics/fb0/dev");
    kernel.HoldOpen(200, "agetty",
                    "/sys/bus/pci/devices/0000:01:00.2/usb1/1-1/1-1:1.0/input/input7/event3/dev");
    CHECK(users().size() == 2);
  }
  SECTION("a disk on USB, which the kernel has mounted, swaps to, or builds on") {
    kernel.Add({.bdf = "0000:01:00.2", .class_code = 0x0c0330, .driver = "xhci_hcd"});
    const std::string disk =
        "/sys/bus/pci/devices/0000:01:00.2/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sdz";
    root.File(disk + "/dev", "65:144\n");
    root.File(disk + "/sdz1/dev", "65:145\n");
    CHECK(users().empty());
    const auto text = [&] { return vfio::ToString(users().begin()->second); };
    root.File("/proc/1/mountinfo", "36 35 65:145 / /mnt/x rw shared:1 - ext4 /dev/sdz1 rw\n");
    CHECK(text() == "the kernel (disk sdz1, mounted on /mnt/x)");
    root.File("/proc/1/mountinfo", "36 35 0:45 / /mnt/y rw - btrfs /dev/sdz1 rw\n");
    CHECK(text() == "the kernel (disk sdz1, mounted on /mnt/y)");
    root.File("/proc/1/mountinfo", "");
    root.File("/proc/swaps", "Filename Type\n/dev/sdz1 partition 1 0 -2\n");
    CHECK(text() == "the kernel (disk sdz1, which it swaps to)");
    root.File("/proc/swaps", "Filename Type\n/dev/sdz11 partition 1 0 -2\n");
    CHECK(users().empty());
    root.Directory(disk + "/sdz1/holders/dm-0");
    CHECK(text() == "the kernel (disk sdz1, on which dm-0 stands)");
  }
}
