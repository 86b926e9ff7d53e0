// SPDX-License-Identifier: Apache-2.0
//
// Who has a device, and who cannot have it while it is changed.
#include <fcntl.h>
#include <sys/file.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>

#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;
using cc_manager::LocalHardware;
using cc_manager::Survey;
using vgpu::Fault;

namespace {

// A VFIO group opens once: while another descriptor of its node is open, EBUSY.
absl::StatusOr<UniqueFd> OpenOnce(const HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(UniqueFd fd, fs.Open(path, O_RDONLY));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  return ErrnoStatus(EBUSY, path);
}

absl::StatusOr<UniqueFd> OpenGroup(fake::Machine& machine, size_t index) {
  return OpenOnce(machine.kernel, fmt::format("/dev/vfio/{}", index + 1));
}

struct Node {
  template <typename... Args>
  explicit Node(Args... args) : machine(args...) {}
  Survey Query(Mode mode, bool ask = false) { return hardware.Query(mode, ask).value(); }
  bool NothingArmed() {
    for (size_t i = 0; i < machine.size(); ++i) {
      if (machine.Pending(i) != machine.Effective(i)) return false;
    }
    return true;
  }
  uint64_t Resets() {
    uint64_t resets = 0;
    for (size_t i = 0; i < machine.size(); ++i) resets += machine.gpu(i).counters().resets;
    return resets;
  }

  fake::Machine machine;
  LocalHardware hardware{machine.host(), {}, vfio::Hold(OpenOnce)};
};

}  // namespace

TEST_CASE("with force a GPU in use is switched") {
  fake::Machine machine(2);
  LocalHardware hardware(machine.host(), {.force = true}, vfio::Hold(OpenOnce));
  machine.HoldOpen(0, 1, "qemu");
  const auto hidden = OpenGroup(machine, 1).value();
  REQUIRE(hardware.Arm(Mode::kOn)->status.ok());
  machine.HoldOpen(1, 2, "qemu");
  CHECK(hardware.Reset()->status.ok());
  CHECK(machine.Effective(0) == State::kOn);
  CHECK(machine.Effective(1) == State::kOn);
}

// Linux: a VFIO group opens once (drivers/vfio, vfio_group_fops_open, 6.1 and 6.12).
TEST_CASE("from arming to its end a change keeps virtual machines from its devices") {
  enum class End { kReset, kDisarm, kFailure, kRefusal, kDrop };
  const End end = GENERATE(End::kReset, End::kDisarm, End::kFailure, End::kRefusal, End::kDrop);
  fake::Machine machine(2);
  auto hardware =
      std::make_unique<LocalHardware>(machine.host(), cc::Policy{}, vfio::Hold(OpenOnce));
  const auto free = [&] { return OpenGroup(machine, 0).ok() && OpenGroup(machine, 1).ok(); };
  bool held = false;
  std::atomic<bool> held_at_reset = false;
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/reset")) held_at_reset = !OpenGroup(machine, 0).ok();
  });
  if (end == End::kFailure) machine.gpu(1).Set(Fault::kKnobLocked);
  if (end == End::kRefusal) machine.HoldOpen(1, 4711, "qemu");
  const bool armed = hardware->Arm(Mode::kOn)->status.ok();
  held = !OpenGroup(machine, 0).ok() && !OpenGroup(machine, 1).ok();
  switch (end) {
    case End::kReset:
      CHECK(hardware->Reset()->status.ok());
      CHECK(held_at_reset);
      break;
    case End::kDisarm:
      CHECK(hardware->Disarm()->status.ok());
      break;
    case End::kDrop:
      hardware.reset();
      break;
    case End::kFailure:
    case End::kRefusal:
      CHECK_FALSE(armed);
      CHECK_FALSE(held);
      break;
  }
  if (armed) CHECK(held);
  CHECK(free());
}

TEST_CASE("a GPU whose group somebody has whom nobody sees refuses the change, nothing is armed") {
  Node node(2);
  auto hidden = OpenGroup(node.machine, 1);
  REQUIRE(hidden.ok());
  const auto refused = node.hardware.Arm(Mode::kOn);
  CHECK(Text(refused->status) ==
        "0000:02:00.0: in use by a process that cannot be seen from here; end that first");
  CHECK(refused->devices[1].in_use_by.find("cannot be seen") != std::string::npos);
  CHECK(node.NothingArmed());
  CHECK(OpenGroup(node.machine, 0).ok());
  *hidden = UniqueFd();
  CHECK(node.hardware.Arm(Mode::kOn)->status.ok());
}

TEST_CASE("two GPUs of one IOMMU group are held together; one of no driver is not") {
  Node node(3);
  node.machine.root.Link("/sys/bus/pci/devices/0000:02:00.0/iommu_group",
                         "../../../../kernel/iommu_groups/1");
  node.machine.root.Remove("/sys/bus/pci/devices/0000:03:00.0/driver");
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK_FALSE(OpenGroup(node.machine, 0).ok());
  CHECK(OpenGroup(node.machine, 2).ok());
  // It is bound to vfio-pci, and somebody takes it at once.
  node.machine.root.Link("/sys/bus/pci/devices/0000:03:00.0/driver", "../../drivers/vfio-pci");
  const auto hidden = OpenGroup(node.machine, 2);
  CHECK(Text(node.hardware.Reset()->status).find("0000:03:00.0: in use by a process that cannot") ==
        0);
  CHECK(node.Resets() == 0);
  CHECK(node.NothingArmed());
}

TEST_CASE("the hold of the change itself is no user") {
  Node node(1);
  node.machine.HoldOpen(0, 4711, "cc-hardware");
  node.machine.root.Link("/proc/self", "4711");
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK(node.Query(Mode::kOn).devices[0].in_use_by.empty());
  CHECK(node.hardware.Reset()->status.ok());
}

TEST_CASE("where there are no nodes of groups, devices are looked at twice and not held") {
  Node node(1);
  node.machine.root.Remove("/dev/vfio");
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK(node.hardware.Reset()->status.ok());
}

// Linux counts in `enable` who has enabled a device; vfio-pci does so from open to close.
TEST_CASE("a device that works for a process of another container is in use") {
  Node node(2);
  node.machine.root.File("/sys/bus/pci/devices/0000:02:00.0/enable", "1\n");
  const Survey survey = node.Query(Mode::kOn);
  CHECK(survey.busy);
  CHECK(survey.devices[0].in_use_by.empty());
  CHECK(survey.devices[1].in_use_by.find("cannot be seen") != std::string::npos);
  CHECK_FALSE(survey.devices[1].settled);
  CHECK(node.Query(Mode::kOff).devices[1].settled);
}

TEST_CASE("a bus master that VFIO never opened has no user; where that is unknown, it says so") {
  Node node(1);
  node.machine.gpu(0).WriteConfig(0x04, 2, 0x0006);  // memory and bus master, left by firmware
  CHECK(node.Query(Mode::kOn).devices[0].in_use_by.empty());
  node.machine.root.Remove("/sys/bus/pci/devices/0000:01:00.0/enable");
  CHECK(node.Query(Mode::kOn).busy);
  CHECK(node.Query(Mode::kOn).devices[0].in_use_by.find("unbind it and bind it again") !=
        std::string::npos);
}
