// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/probe.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const std::string kGpu = "/sys/bus/pci/devices/0000:01:00.0";

struct Bench {
  Bench() {
    kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 7, .driver = "vfio-pci"});
    Config("\xde\x10\x31\x23");
  }
  void Config(const std::string& bytes) { root.File(kGpu + "/config", bytes); }
  void FatalErrors(int count) {
    root.File(kGpu + "/aer_dev_fatal",
              fmt::format("Undefined 0\nDLP {0}\nTOTAL_ERR_FATAL {0}\n", count));
  }
  // Another function in the group.
  void Neighbour(uint32_t class_code, const std::string& driver) {
    kernel.Add(
        {.bdf = "0000:01:00.1", .class_code = class_code, .iommu_group = 7, .driver = driver});
    root.Directory("/sys/kernel/iommu_groups/7/devices/0000:01:00.1");
    root.Link(kGpu + "/iommu_group", "../../../../kernel/iommu_groups/7");
  }
  Reason Examine(int seconds = 0, bool hands_off = false) {
    const auto device = pci::ReadDevice(kernel, *pci::Bdf::Parse("0000:01:00.0"));
    REQUIRE(device.ok());
    return probe
        .Examine(kernel, *device, Backend::kGroup, TimePoint(std::chrono::seconds(seconds)),
                 hands_off)
        .reason;
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  Probe probe;
};

}  // namespace

TEST_CASE("a device that has all it needs is fine, and attributes may be missing") {
  Bench bench;
  CHECK(bench.Examine() == Reason::kNone);
  bench.root.Remove(kGpu + "/config");
  bench.root.Remove(kGpu + "/power_state");
  bench.root.Remove(kGpu + "/power");
  CHECK(bench.Examine(100) == Reason::kNone);
}

TEST_CASE("a missing node is seen, wherever nodes are seen") {
  Bench bench;
  bench.root.Remove("/dev/vfio/7");
  bench.root.Remove("/sys/class/vfio/7");
  CHECK(bench.Examine() == Reason::kNoNode);
  bench.root.Directory("/sys/class/vfio/7");  // a container's /dev lacks what came later
  CHECK(bench.Examine() == Reason::kNone);
}

TEST_CASE("a device off the bus reads all ones, and is found within ten seconds") {
  Bench bench;
  CHECK(bench.Examine(0) == Reason::kNone);
  bench.Config("\xff\xff\xff\xff");
  CHECK(bench.Examine(9) == Reason::kNone);  // not read more often
  CHECK(bench.Examine(10) == Reason::kNoAnswer);
  bench.Config("\xde\x10\x31\x23");
  CHECK(bench.Examine(19) == Reason::kNoAnswer);
  CHECK(bench.Examine(20) == Reason::kNone);
}

TEST_CASE("configuration space is not read of a device that sleeps or is being reset") {
  Bench bench;
  bench.Config("\xff\xff\xff\xff");
  for (const char* state : {"D3hot", "D3cold", "unknown"}) {
    bench.root.File(kGpu + "/power_state", std::string(state) + "\n");
    CHECK(bench.Examine() == Reason::kNone);
  }
  bench.root.File(kGpu + "/power_state", "D0\n");
  CHECK(bench.Examine(1, true) == Reason::kNone);
  CHECK(bench.Examine(10) == Reason::kNone);  // it may still boot
  CHECK(bench.Examine(11) == Reason::kNoAnswer);
  bench.root.File(kGpu + "/power_state", "error\n");
  CHECK(bench.Examine(12) == Reason::kPower);
}

TEST_CASE("a fatal error counts from when the device was first seen, until it is bound again") {
  Bench bench;
  bench.FatalErrors(3);
  CHECK(bench.Examine() == Reason::kNone);
  bench.FatalErrors(4);
  CHECK(bench.Examine() == Reason::kFatalError);
  CHECK(bench.Examine(1000) == Reason::kFatalError);
  bench.probe.Retain({});
  CHECK(bench.Examine(1001) == Reason::kNone);
}

TEST_CASE("a group is given away whole or not at all") {
  const std::tuple<uint32_t, const char*, Reason> cases[] = {
      {0x040300, "snd_hda_intel", Reason::kNotViable},
      {0x020000, "mlx5_core", Reason::kNotViable},
      {0x040300, "vfio-pci", Reason::kNone},
      {0x040300, "", Reason::kNone},
      {0x060400, "pcieport", Reason::kNone},
      {0x040300, "pci-stub", Reason::kNone},
      // A bridge by its class, and yet VFIO refuses the group.
      {0x068000, "nvidia-nvswitch", Reason::kNotViable}};
  for (const auto& [class_code, driver, expected] : cases) {
    CAPTURE(driver);
    Bench bench;
    bench.Neighbour(class_code, driver);
    CHECK(bench.Examine() == expected);
  }
}
