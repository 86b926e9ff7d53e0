// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/cdi.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/other_process.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

constexpr const char* kGpus = "/var/run/cdi/nvidia.com-pgpu.yaml";

class Node {
 public:
  void Add(const std::string& bdf, int group, int cdev, const std::string& driver = "vfio-pci",
           uint32_t class_code = 0x030200) {
    kernel.AddDriver(driver);
    kernel.Add({.bdf = bdf, .class_code = class_code, .iommu_group = group, .driver = driver});
    root.File("/dev/vfio/" + std::to_string(group), "");
    if (cdev < 0) return;
    const std::string name = "vfio" + std::to_string(cdev);
    root.File("/sys/bus/pci/devices/" + bdf + "/vfio-dev/" + name + "/dev", "240:0\n");
    root.File("/dev/vfio/devices/" + name, "");
    root.File("/dev/iommu", "");
  }
  std::map<std::string, std::string> Names(pci::Kind kind = pci::Kind::kGpu) {
    std::map<std::string, std::string> names;
    const auto devices = pci::ScanNvidia(kernel);
    for (const CdiDevice& device : CdiDevicesOf(kernel, *devices, kind)) {
      CHECK(names.emplace(device.name, device.node).second);
    }
    return names;
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
};

}  // namespace

TEST_CASE("with iommufd: number, vfioN, and the group's number where it means nothing else") {
  Node node;
  node.Add("0000:41:00.0", 1, 0);
  node.Add("0000:42:00.0", 17, 1);
  const std::string first = "/dev/vfio/devices/vfio0", second = "/dev/vfio/devices/vfio1";
  CHECK(node.Names() ==
        std::map<std::string, std::string>{
            {"0", first}, {"vfio0", first}, {"1", second}, {"vfio1", second}, {"17", second}});
}

TEST_CASE("two functions in one group have no common name") {
  Node node;
  node.Add("0000:41:00.0", 9, 0);
  node.Add("0000:41:00.1", 9, 1);
  CHECK_FALSE(node.Names().contains("9"));
  CHECK(node.Names().size() == 4);
}

TEST_CASE("without iommufd a group is one device") {
  Node node;
  node.Add("0000:41:00.0", 9, -1);
  node.Add("0000:41:00.1", 9, -1);
  node.Add("0000:42:00.0", 10, -1, "nvgrace_gpu_vfio_pci");
  node.Add("0000:43:00.0", 11, -1, "nvidia");
  CHECK(node.Names() ==
        std::map<std::string, std::string>{{"9", "/dev/vfio/9"}, {"10", "/dev/vfio/10"}});
}

TEST_CASE("a virtual function has no name, for no guest is given one") {
  Node node;
  node.Add("0000:41:00.0", 9, 0);
  node.Add("0000:41:00.4", 10, 1);
  node.root.Link("/sys/bus/pci/devices/0000:41:00.4/physfn", "../0000:41:00.0");
  CHECK(node.Names().size() == 3);
  CHECK_FALSE(node.Names().contains("vfio1"));
}

TEST_CASE("switches are of another kind") {
  Node node;
  node.Add("0000:41:00.0", 9, 0);
  node.Add("0000:44:00.0", 12, 1, "vfio-pci", 0x068000);
  CHECK(node.Names(pci::Kind::kNvSwitch).contains("12"));
  CHECK_FALSE(node.Names().contains("1"));
}

TEST_CASE("the file is written, kept, and removed with the last device") {
  Node node;
  node.Add("0000:41:00.0", 9, 3);
  const auto outcomes = LookAfterCdi(node.kernel, CdiMode::kAuto);
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[0].owner == "us");
  CHECK(node.root.Content(kGpus) == R"(---
# Written by gpuhost's kata-manager, which replaces and removes it.
cdiVersion: 0.5.0
kind: nvidia.com/pgpu
devices:
    - name: "3"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/devices/vfio3
    - name: "vfio3"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/devices/vfio3
    - name: "9"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/devices/vfio3
containerEdits: {}
)");
  CHECK_FALSE(node.root.Exists("/var/run/cdi/nvidia.com-nvswitch.yaml"));
  node.root.Remove("/sys/bus/pci/devices/0000:41:00.0/driver");
  CHECK(LookAfterCdi(node.kernel, CdiMode::kAuto)[0].status.ok());
  CHECK_FALSE(node.root.Exists(kGpus));
}

TEST_CASE("what somebody else writes is looked at only") {
  Node node;
  node.Add("0000:41:00.0", 9, 3);
  const std::string theirs =
      "---\ncdiVersion: 0.5.0\nkind: nvidia.com/pgpu\ndevices:\n- name: \"3\"\n"
      "  containerEdits:\n    deviceNodes:\n    - path: /dev/vfio/devices/vfio3\n";
  node.root.File(kGpus, theirs);
  auto outcome = LookAfterCdi(node.kernel, CdiMode::kAuto)[0];
  CHECK(outcome.owner == "somebody else");
  CHECK(outcome.status.ok());
  node.root.Remove("/dev/vfio/devices/vfio3");
  outcome = LookAfterCdi(node.kernel, CdiMode::kAuto)[0];
  CHECK_THAT(std::string(outcome.status.message()), Catch::Contains("vfio3, which is not there"));
  CHECK(node.root.Content(kGpus) == theirs);
  CHECK(RemoveCdi(node.kernel).ok());
  CHECK(node.root.Content(kGpus) == theirs);
}

TEST_CASE("a plugin that lives is the writer, also before it has written") {
  Node node;
  node.Add("0000:41:00.0", 9, 3);
  fake::OtherProcess plugin(node.kernel, "sandbox-device-plugin");
  CHECK(LookAfterCdi(node.kernel, CdiMode::kAuto)[0].owner == "sandbox-device-plugin");
  CHECK_FALSE(node.root.Exists(kGpus));
  plugin.Kill();
  CHECK(LookAfterCdi(node.kernel, CdiMode::kVerify)[0].owner.empty());
  CHECK_FALSE(node.root.Exists(kGpus));
  CHECK(LookAfterCdi(node.kernel, CdiMode::kAuto)[0].owner == "us");
  CHECK(node.root.Exists(kGpus));
}
