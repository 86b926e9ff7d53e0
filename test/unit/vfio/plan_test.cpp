// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/plan.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/vfio/bench.h"

using namespace gpuhost;
using vfio::Action;
using vfio::Goal;
using vfio::Obstacle;

namespace {

std::vector<Obstacle> Obstacles(const vfio::Unit& unit) {
  std::vector<Obstacle> obstacles;
  for (const vfio::Blocker& blocker : unit.blockers) obstacles.push_back(blocker.obstacle);
  return obstacles;
}

std::vector<std::string> Texts(const vfio::Unit& unit) {
  std::vector<std::string> texts;
  for (const vfio::Step& step : unit.steps) texts.push_back(ToString(step));
  return texts;
}

}  // namespace

TEST_CASE("binding sets the override before it takes the device from another driver") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .driver = "nvidia"});
  CHECK(Texts(bench.Unit()) ==
        std::vector<std::string>{
            "write 'vfio-pci' to /sys/bus/pci/devices/0000:41:00.0/driver_override",
            "write '0000:41:00.0' to /sys/bus/pci/drivers/nvidia/unbind",
            "write '0000:41:00.0' to /sys/bus/pci/drivers/vfio-pci/bind",
            "write 'on' to /sys/bus/pci/devices/0000:41:00.0/power/control",
            "write '0' to /sys/bus/pci/devices/0000:41:00.0/d3cold_allowed"});
  CHECK(bench.Unit().modules == std::vector<std::string>{"vfio_pci"});
  vfio::Request sleepy;
  sleepy.keep_awake = false;
  CHECK(bench.Unit(sleepy).steps.size() == 3);
}

TEST_CASE("what is bound needs nothing, even while it is used") {
  Bench bench;
  bench.AddBound("0000:41:00.0", 7);
  bench.Hold(7);
  CHECK(bench.Unit().steps.empty());
  CHECK(bench.Unit().Admission().ok());
  bench.root.File("/sys/bus/pci/devices/0000:41:00.0/power/control", "auto\n");
  CHECK(Texts(bench.Unit()).size() == 1);
  CHECK(bench.Unit().Admission().ok());
}

TEST_CASE("each function gets the driver that fits it, companions before the GPU") {
  Bench bench;
  bench.root.File("/proc/sys/kernel/osrelease", "6\n");
  bench.root.File("/lib/modules/6/modules.alias",
                  "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci\n");
  bench.kernel.AddModule("nvgrace_gpu_vfio_pci", "nvgrace-gpu-vfio-pci");
  bench.kernel.Add({.bdf = "0000:41:00.0", .device = 0x2342});
  bench.kernel.Add({.bdf = "0000:41:00.1", .device = 0x22bc, .class_code = 0x040300});
  const vfio::Unit unit = bench.Unit();
  CHECK(unit.leads.size() == 1);
  REQUIRE(unit.functions.size() == 2);
  CHECK(unit.steps.front() == vfio::Step{Action::kOverride, bench.Bdf("0000:41:00.1"), "vfio-pci"});
  CHECK(std::ranges::count(unit.steps, vfio::Step{Action::kBind, bench.Bdf("0000:41:00.0"),
                                                  "nvgrace-gpu-vfio-pci"}) == 1);
  CHECK(unit.modules == std::vector<std::string>{"vfio_pci", "nvgrace_gpu_vfio_pci"});
}

TEST_CASE("a board's functions, what depends on them, and their IOMMU group are one unit") {
  Bench bench;
  for (int function = 0; function < 4; ++function) {
    const uint32_t classes[] = {0x030000, 0x040300, 0x0c0330, 0x0c8000};
    bench.kernel.Add({.bdf = "0000:41:00." + std::to_string(function),
                      .class_code = classes[function],
                      .iommu_group = function == 3 ? 8 : 7,
                      .driver = function == 2 ? "xhci_hcd" : ""});
  }
  bench.kernel.Add({.bdf = "0000:42:00.0", .class_code = 0x040300, .iommu_group = 9});
  bench.root.Link("/sys/bus/pci/devices/0000:41:00.0/consumer:pci:0000:42:00.0", "x");
  bench.kernel.Add({.bdf = "0000:43:00.0", .iommu_group = 7});                          // GPU
  bench.kernel.Add({.bdf = "0000:40:00.0", .class_code = 0x060400, .iommu_group = 7});  // bridges
  bench.kernel.Add({.bdf = "0000:40:01.0",
                    .class_code = 0x060400,
                    .vendor = 0x8086,
                    .iommu_group = 7,
                    .driver = "pcieport"});
  bench.kernel.Add({.bdf = "0000:44:00.0", .class_code = 0x040300, .iommu_group = 10});  // apart
  const auto units = bench.Plan();
  REQUIRE(units.size() == 1);
  CHECK(units[0].leads.size() == 2);
  std::vector<std::string> names;
  for (const pci::Device& device : units[0].functions) names.push_back(device.bdf.ToString());
  CHECK(names == std::vector<std::string>{"0000:41:00.1", "0000:41:00.2", "0000:41:00.3",
                                          "0000:42:00.0", "0000:41:00.0", "0000:43:00.0"});
  CHECK(units[0].Admission().ok());
}

TEST_CASE("a foreign member of the group is named when its driver is in the way") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7});
  bench.kernel.Add({.bdf = "0000:41:01.0",
                    .device = 0x1572,
                    .class_code = 0x020000,
                    .vendor = 0x8086,
                    .iommu_group = 7,
                    .driver = "i40e"});
  const vfio::Unit unit = bench.Unit();
  CHECK(Obstacles(unit) == std::vector{Obstacle::kGroupNotViable});
  CHECK(Text(unit.Admission())
            .find("0000:41:01.0 (8086:1572), which is not NVIDIA's, is held by "
                  "driver i40e") != std::string::npos);
  for (const pci::Device& device : unit.functions) CHECK(device.vendor == pci::kNvidia);
  for (const char* harmless : {"", "vfio-pci", "pci-stub", "pcieport"}) {
    Bench other;
    other.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7});
    other.kernel.Add(
        {.bdf = "0000:41:01.0", .vendor = 0x8086, .iommu_group = 7, .driver = harmless});
    CHECK(other.Unit().Admission().ok());
  }
}

TEST_CASE("beside which drivers a group is handed out is up to the driver, whatever the class") {
  // Linux 5.19 and later, iommu_device_use_default_domain: driver_managed_dma.
  for (const uint32_t bridge : {0x060000u, 0x060400u, 0x068000u}) {
    const auto beside = [&](const char* driver) {
      pci::Device device{.vendor = 0x8086, .class_code = bridge};
      if (*driver != 0) device.driver = driver;
      return vfio::IsViableBeside(device);
    };
    for (const char* harmless : {"", "pcieport", "pci-stub", "vfio-pci", "nvgrace_gpu_vfio_pci"}) {
      CHECK(beside(harmless));
    }
    for (const char* user : {"nvidia-nvswitch", "skx_edac", "shpchp"}) CHECK_FALSE(beside(user));
  }
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7});
  bench.kernel.Add({.bdf = "0000:40:00.0",
                    .class_code = 0x060400,
                    .vendor = 0x8086,
                    .iommu_group = 7,
                    .driver = "skx_edac"});
  CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kGroupNotViable});
}

TEST_CASE("boards at the same place of different PCI domains are units of their own") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7});
  bench.kernel.Add({.bdf = "0001:41:00.0", .iommu_group = 8});
  CHECK(bench.Plan().size() == 2);
}

TEST_CASE("what stands in the way is named with its remedy") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7, .driver = "nvidia"});
  const std::string sysfs = "/sys/bus/pci/devices/0000:41:00.0";
  SECTION("no IOMMU group") {
    bench.root.Remove(sysfs + "/iommu_group");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kNoIommu});
  }
  SECTION("the unsafe mode without IOMMU") {
    bench.root.File("/sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kNoIommuMode});
  }
  SECTION("no override") {
    bench.root.Remove(sysfs + "/driver_override");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kNoOverride});
  }
  SECTION("virtual functions") {
    bench.root.File(sysfs + "/sriov_numvfs", "4\n");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kVfsEnabled});
    CHECK(Text(bench.Unit().Admission()).find("4 virtual functions") != std::string::npos);
  }
  SECTION("a user") {
    bench.kernel.HoldNvidia(9, "worker", "0000:41:00.0");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kInUse});
    CHECK(Text(bench.Unit().Admission()) == "in use by worker (pid 9); end that first");
  }
  SECTION("a lock in the kernel") {
    bench.kernel.Lock("0000:41:00.0");
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kLocked});
    CHECK(Text(bench.Unit().Admission()).find("locked for a process that cannot be told") !=
          std::string::npos);
    bench.root.File("/proc/812/comm", "a) b\n");
    bench.root.Link("/proc/812/fd/1", "/sys/bus/pci/drivers/vfio-pci/unbind");  // another driver
    bench.root.Link("/proc/812/fd/2", "/sys/devices/pci0000:00/0000:42:00.0/reset");
    bench.root.Link("/proc/812/fd/3", "/sys/bus/pci/drivers/nvidia/unbind");
    for (const char* fd : {"1", "2", "3"}) {
      bench.root.File(std::string("/proc/812/fdinfo/") + fd, "pos:\t0\nflags:\t0100001\n");
    }
    // One that only reads waits as well.
    bench.root.Link("/proc/700/fd/3", "/sys/devices/pci0000:00/0000:41:00.0/driver_override");
    bench.root.File("/proc/700/fdinfo/3", "pos:\t0\nflags:\t0100000\n");
    CHECK(Text(bench.Unit().Admission()) ==
          "the kernel keeps it locked for process 812 (a) b), which writes to "
          "/sys/bus/pci/drivers/nvidia/unbind; wait for that, or end what it waits for");
    CHECK(bench.kernel.hangs().empty());
    bench.kernel.Unlock("0000:41:00.0");
    CHECK(Obstacles(bench.Unit()).empty());
  }
  SECTION("users that cannot be seen") {
    bench.root.Remove("/proc/2");  // as in a PID namespace of its own
    CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kUsersUnknown});
    CHECK(Text(bench.Unit().Admission()).find("hostPID") != std::string::npos);
    CHECK(Obstacles(bench.Unit({.force = true})).empty());
  }
  SECTION("a mode change") {
    vfio::Request request;
    request.reserved[bench.Bdf("0000:41:00.0")] = "cc-manager is arming";
    CHECK(Obstacles(bench.Unit(request)) == std::vector{Obstacle::kReserved});
  }
  SECTION("a device that is to be given to nobody") {
    bench.Remember("0000:41:00.0", {});
    bench.root.Link(sysfs + "/driver", "../../drivers/vfio-pci");
    vfio::Request request{.goal = Goal::kDefault};
    request.unusable[bench.Bdf("0000:41:00.0")] = "its mode is not known";
    CHECK(Obstacles(bench.Unit(request)) == std::vector{Obstacle::kUnusable});
    request.force = true;
    CHECK(Obstacles(bench.Unit(request)).empty());
    request.force = false;
    request.goal = Goal::kDriverless;  // then nobody has it
    CHECK(Obstacles(bench.Unit(request)).empty());
  }
}

TEST_CASE("one who uses a member of the group uses the whole unit") {
  Bench bench;
  bench.AddBound("0000:41:00.0", 7);
  bench.kernel.Add({.bdf = "0000:41:00.1", .class_code = 0x040300, .iommu_group = 7});
  bench.Hold(7);
  CHECK(Obstacles(bench.Unit()) == std::vector{Obstacle::kInUse, Obstacle::kInUse});
}

TEST_CASE("which devices are meant") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .device = 0x20b5, .iommu_group = 2});
  bench.kernel.Add(
      {.bdf = "0000:03:00.0", .device = 0x22a3, .class_code = 0x068000, .iommu_group = 3});
  bench.kernel.Add({.bdf = "0000:04:00.0", .iommu_group = 4});
  bench.root.Link("/sys/bus/pci/devices/0000:04:00.0/physfn", "../0000:02:00.0");
  const auto leads = [&](const vfio::Request& request) {
    std::string names;
    for (const vfio::Unit& unit : bench.Plan(request)) {
      names += unit.leads.front().ToString() + (unit.blockers.empty() ? " " : "! ");
    }
    return names;
  };
  const auto parse = [](const char* text) { return *vfio::Pattern::Parse(text); };
  CHECK(leads({}) == "0000:01:00.0 0000:02:00.0 ");
  CHECK(leads({.nvswitches = true}) == "0000:01:00.0 0000:02:00.0 0000:03:00.0 ");
  CHECK(leads({.allow = {parse("10de:20b5")}}) == "0000:02:00.0 ");
  CHECK(leads({.deny = {parse("0000:01:00.0")}}) == "0000:02:00.0 ");
  CHECK(leads({.devices = {bench.Bdf("0000:01:00.0")}}) == "0000:01:00.0 ");
  CHECK(leads({.devices = {bench.Bdf("0000:03:00.0"), bench.Bdf("0000:04:00.0"),
                           bench.Bdf("0000:99:00.0")}}) ==
        "0000:03:00.0! 0000:04:00.0! 0000:99:00.0! ");
  CHECK(leads({.devices = {bench.Bdf("0000:01:00.0")}, .deny = {parse("10de:2331")}}) ==
        "0000:01:00.0! ");
  for (const char* broken : {"", "10de", "10de:", "41:00.0", "10de:12345", "x:y"}) {
    CHECK(absl::IsInvalidArgument(vfio::Pattern::Parse(broken).status()));
  }
}

TEST_CASE("a denied member of the group is not written, and in the way while it is held") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 1, .driver = "nvidia"});
  const vfio::Request request{.deny = {*vfio::Pattern::Parse("0000:02:00.0")}};
  const vfio::Unit unit = bench.Unit(request);
  CHECK(unit.functions.size() == 1);
  CHECK(Obstacles(unit) == std::vector{Obstacle::kGroupNotViable});
  CHECK(Text(unit.Admission()).find("which is denied") != std::string::npos);
}

TEST_CASE("only what gpuhost bound is unbound, unless all is asked for") {
  Bench bench;
  bench.AddBound("0000:41:00.0", 7);
  CHECK(bench.Unit({.goal = Goal::kDriverless}).steps.empty());
  CHECK(bench.Unit({.goal = Goal::kDriverless}).note.find("something else") != std::string::npos);
  CHECK(
      Obstacles(bench.Unit({.goal = Goal::kDriverless, .devices = {bench.Bdf("0000:41:00.0")}})) ==
      std::vector{Obstacle::kNotOurs});
  CHECK(bench.Unit({.goal = Goal::kDriverless, .foreign = true}).steps.size() == 2);
  bench.Remember("0000:41:00.0", {});
  CHECK(Texts(bench.Unit({.goal = Goal::kDriverless})) ==
        std::vector<std::string>{"write '' to /sys/bus/pci/devices/0000:41:00.0/driver_override",
                                 "write '0000:41:00.0' to /sys/bus/pci/drivers/vfio-pci/unbind"});
  bench.Hold(7);
  CHECK(Obstacles(bench.Unit({.goal = Goal::kDriverless})) == std::vector{Obstacle::kInUse});
}

TEST_CASE("a device goes back to the driver, the override and the power settings it had") {
  Bench bench;
  bench.AddBound("0000:41:00.0", 7);
  bench.kernel.AddDriver("pci-stub");
  bench.root.File("/sys/bus/pci/devices/0000:41:00.0/d3cold_allowed", "0\n");
  bench.Remember("0000:41:00.0", {.driver = "pci-stub",
                                  .driver_override = "pci-stub",
                                  .power_control = "auto",
                                  .d3cold_allowed = "1"});
  CHECK(Texts(bench.Unit({.goal = Goal::kDefault})) ==
        std::vector<std::string>{
            "write 'pci-stub' to /sys/bus/pci/devices/0000:41:00.0/driver_override",
            "write '0000:41:00.0' to /sys/bus/pci/drivers/vfio-pci/unbind",
            "write '1' to /sys/bus/pci/devices/0000:41:00.0/d3cold_allowed",
            "write 'auto' to /sys/bus/pci/devices/0000:41:00.0/power/control",
            "write '0000:41:00.0' to /sys/bus/pci/drivers/pci-stub/bind"});
  bench.root.Remove("/sys/bus/pci/drivers/pci-stub");
  CHECK(bench.Unit({.goal = Goal::kDefault}).steps.back().action == Action::kProbe);
  const vfio::Unit to_nvidia = bench.Unit({.goal = Goal::kNvidia});
  CHECK(to_nvidia.steps.back() == vfio::Step{Action::kBind, bench.Bdf("0000:41:00.0"), "nvidia"});
  CHECK(to_nvidia.modules == std::vector<std::string>{"nvidia"});
}

TEST_CASE("uninstalling takes GPUs from nvidia and nouveau and nothing else") {
  Bench bench;
  bench.AddBound("0000:01:00.0", 1);
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3, .driver = "nouveau"});
  bench.kernel.Add({.bdf = "0000:04:00.0", .iommu_group = 4, .driver = "pci-stub"});
  bench.kernel.Add(
      {.bdf = "0000:03:00.1", .class_code = 0x040300, .iommu_group = 3, .driver = "snd_hda_intel"});
  std::vector<std::string> texts;
  for (const vfio::Unit& unit : bench.Plan({.goal = Goal::kTaken})) {
    for (const std::string& text : Texts(unit)) texts.push_back(text);
    CHECK(unit.Admission().ok());
  }
  CHECK(texts ==
        std::vector<std::string>{"write '0000:02:00.0' to /sys/bus/pci/drivers/nvidia/unbind",
                                 "write '0000:03:00.0' to /sys/bus/pci/drivers/nouveau/unbind"});
}

TEST_CASE("what was unbound on request is left so by one who is told to, and by nobody else") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0"});
  bench.Remember("0000:41:00.0", {.state = vfio::Record::State::kReleased});
  CHECK(bench.Unit({.leave_released = true}).steps.empty());
  CHECK(bench.Unit({.leave_released = true}).note.find("on request") != std::string::npos);
  CHECK_FALSE(bench.Unit().steps.empty());
}

TEST_CASE(
    "one that was released is not pulled along by its group, and not ours when others bind it") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:41:00.0", .iommu_group = 7});
  bench.kernel.Add({.bdf = "0000:42:00.0", .iommu_group = 7});
  bench.Remember("0000:41:00.0", {.state = vfio::Record::State::kReleased});
  const auto units = bench.Plan({.leave_released = true});
  REQUIRE(units.size() == 2);
  CHECK(units[0].steps.empty());
  CHECK(units[1].functions.size() == 1);
  bench.root.Link("/sys/bus/pci/devices/0000:41:00.0/driver", "../../drivers/vfio-pci");
  CHECK(bench.Plan({.goal = Goal::kDriverless})[0].note.find("something else") !=
        std::string::npos);
}
