// SPDX-License-Identifier: Apache-2.0
//
// Binds after which something would be missing: a GPU's memory, the machine's screen.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/coupled.h"
#include "libgpuhost/vfio/steps.h"
#include "test/unit/vfio/bench.h"

using namespace gpuhost;
using vfio::Obstacle;

namespace {

struct Machine : Bench {
  void SetAliases(const std::string& lines) {
    root.File("/proc/sys/kernel/osrelease", "6.12.9\n");
    root.File("/lib/modules/6.12.9/modules.alias", lines);
  }
  std::vector<Obstacle> Obstacles(const vfio::Request& request = {}) {
    std::vector<Obstacle> obstacles;
    const vfio::Unit unit = Unit(request);
    for (const vfio::Blocker& blocker : unit.blockers) obstacles.push_back(blocker.obstacle);
    return obstacles;
  }
};

constexpr const char* kGeneric = "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n";
constexpr const char* kVariant =
    "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci\n";
constexpr const char* kBdf = "0000:01:00.0";

}  // namespace

TEST_CASE("a GPU that is coupled to its CPU is not bound without the driver that hands out all") {
  Machine machine;
  machine.SetAliases(kGeneric);  // Debian 12 and 13 build no nvgrace_gpu_vfio_pci
  machine.kernel.Add({.bdf = kBdf, .device = 0x2342, .driver = "nvidia"});
  CHECK(machine.Obstacles() == std::vector{Obstacle::kNoVariant});
  const std::string text = Text(machine.Unit().Admission());
  CHECK(text.find("Linux 6.12.9 has no VFIO driver of its own for 10de:2342") != std::string::npos);
  CHECK(text.find("module nvgrace_gpu_vfio_pci") != std::string::npos);
  CHECK(machine.Unit().losses.size() == 1);
  SECTION("unless it is forced to, and then what is lost is said") {
    const vfio::Unit forced = machine.Unit({.force = true});
    CHECK(forced.Admission().ok());
    CHECK(forced.losses ==
          std::vector<std::string>{"0000:01:00.0: its guests get none of the GPU's memory, as this "
                                   "kernel has no nvgrace_gpu_vfio_pci for it"});
  }
  SECTION("with that driver nothing is lost") {
    machine.SetAliases(std::string(kGeneric) + kVariant);
    CHECK(machine.Unit().Admission().ok());
    CHECK(machine.Unit().losses.empty());
  }
  SECTION("one that has vfio-pci already is not called in order") {
    machine.root.Link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci");
    CHECK(machine.Obstacles() == std::vector{Obstacle::kNoVariant});
  }
  SECTION("where the kernel's aliases cannot be read it is not known what it has") {
    machine.root.Remove("/lib/modules");
    CHECK(machine.Obstacles() == std::vector{Obstacle::kNoVariant});
    CHECK(Text(machine.Unit().Admission()).find("is not known") != std::string::npos);
    // Who has bound it to such a driver knew better than we.
    machine.kernel.AddDriver("nvgrace_gpu_vfio_pci");
    machine.root.Link("/sys/bus/pci/devices/0000:01:00.0/driver",
                      "../../drivers/nvgrace_gpu_vfio_pci");
    const vfio::Unit unit = machine.Unit();
    CHECK(unit.Admission().ok());
    CHECK_FALSE(vfio::Moves(unit.steps));
  }
}

TEST_CASE("which boards are coupled is known by their ids, where need be with the subsystem") {
  const auto coupled = [](uint16_t device, uint16_t subsystem = 0x1234) {
    return pci::IsCoupled({.vendor = pci::kNvidia,
                           .device = device,
                           .subsystem_device = subsystem,
                           .class_code = 0x030200});
  };
  constexpr uint16_t kAll[] = {0x2342, 0x2348, 0x2941, 0x297e, 0x31a1, 0x31c3, 0x3041, 0x30ff};
  for (const uint16_t id : kAll) {
    CHECK(coupled(id));
  }
  CHECK(coupled(0x29bc, 0x2045));
  CHECK_FALSE(coupled(0x29bc, 0x1985));  // SXM boards of the same ids
  CHECK(coupled(0x31c2, 0x21f1));
  CHECK_FALSE(coupled(0x31c2, 0x20e5));
  CHECK_FALSE(coupled(0x2331));
}

TEST_CASE("the machine's screen is taken on request alone") {
  Machine machine;
  machine.kernel.Add({.bdf = kBdf, .class_code = 0x030000, .driver = "nouveau"});
  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
  CHECK(machine.Obstacles().empty());  // without a frame buffer it is nobody's screen
  machine.root.Directory("/sys/class/graphics/fbcon");
  CHECK(machine.Obstacles().empty());
  machine.root.Directory("/sys/class/graphics/fb0");
  CHECK(machine.Obstacles() == std::vector{Obstacle::kConsole});
  CHECK(machine.Obstacles({.force = true}).empty());
  CHECK(machine.Obstacles({.console = true}).empty());
  CHECK(machine.Unit({.console = true}).losses.size() == 1);
  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "0\n");
  CHECK(machine.Obstacles().empty());
  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
  machine.root.Link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci");
  CHECK(machine.Obstacles().empty());  // it is taken already
}
