// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/execute.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/unit/vfio/bench.h"

using namespace gpuhost;
using vfio::Goal;
using vfio::Record;

namespace {

constexpr const char* kBdf = "0000:41:00.0";
constexpr const char* kAudio = "0000:41:00.1";

struct Machine : Bench {
  explicit Machine(const std::string& driver) {
    kernel.Add({.bdf = kBdf, .iommu_group = 42, .driver = driver});
  }
  void AddAudio(const std::string& driver) {
    kernel.Add({.bdf = kAudio, .class_code = 0x040300, .iommu_group = 42, .driver = driver});
  }
  pci::Device Read(const char* bdf = kBdf) { return *pci::ReadDevice(kernel, Bdf(bdf)); }
  std::string Override(const char* bdf = kBdf) {
    return kernel.ReadAttribute(pci::SysfsPath(Bdf(bdf), "driver_override")).value_or("");
  }
  absl::Status Reach(Goal goal, const vfio::Conduct& conduct = {}) {
    return vfio::Execute(kernel, clock, Unit({.goal = goal}), conduct);
  }
  absl::StatusOr<Record> Remembered(const char* bdf = kBdf) {
    return vfio::ReadRecord(kernel, Bdf(bdf));
  }
  bool Wrote() const { return !kernel.writes().empty(); }
};

bool Says(const absl::Status& status, const char* text) {
  return Text(status).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("a board goes from its drivers to VFIO, stays awake, and goes back to them") {
  Machine machine("nvidia");
  machine.AddAudio("snd_hda_intel");
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  CHECK(machine.Read().driver == "vfio-pci");
  CHECK(machine.Read(kAudio).driver == "vfio-pci");
  CHECK(machine.Read().power_control == "on");
  CHECK(machine.Read().d3cold_allowed == "0");
  CHECK(machine.Remembered()->driver == "nvidia");
  const size_t writes = machine.kernel.writes().size();
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  CHECK(machine.kernel.writes().size() == writes);

  REQUIRE(machine.Reach(Goal::kDefault).ok());
  CHECK(machine.Read().driver == "nvidia");
  CHECK(machine.Override() == "(null)");
  CHECK(machine.Read().d3cold_allowed == "1");
  CHECK(machine.Read(kAudio).driver == "snd_hda_intel");
  CHECK(machine.Remembered()->state == Record::State::kReturned);
}

TEST_CASE("unbinding leaves no driver, and remembers the earlier one") {
  Machine machine("nvidia");
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  REQUIRE(machine.Reach(Goal::kDriverless).ok());
  CHECK_FALSE(machine.Read().driver);
  CHECK(machine.Override() == "(null)");
  CHECK(machine.Remembered()->state == Record::State::kReleased);
  CHECK(machine.Remembered()->driver == "nvidia");
  REQUIRE(machine.Reach(Goal::kNvidia).ok());
  CHECK(machine.Read().driver == "nvidia");
}

TEST_CASE("the kernel chooses a driver where there was none before") {
  Machine machine("");
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  machine.kernel.AddDriver("nouveau");
  machine.kernel.SetNativeDriver("nouveau");
  REQUIRE(machine.Reach(Goal::kDefault, {.forget = true}).ok());
  CHECK(machine.Read().driver == "nouveau");
  CHECK(absl::IsNotFound(machine.Remembered().status()));
}

TEST_CASE("a bind that fails gives every function back to its driver") {
  Machine machine("nvidia");
  machine.AddAudio("snd_hda_intel");
  int binds = 0;
  machine.kernel.FailWritesWhile([&](const std::string& path) {
    return path.ends_with("vfio-pci/bind") && ++binds == 2;  // the GPU, after its audio
  });
  const absl::Status status = machine.Reach(Goal::kVfio);
  CHECK(Says(status, "0000:41:00.0: given back to nvidia"));
  CHECK(Says(status, "0000:41:00.1: given back to snd_hda_intel"));
  for (const char* bdf : {kBdf, kAudio}) {
    CHECK(machine.Override(bdf) == "(null)");
    CHECK(machine.Read(bdf).d3cold_allowed == "1");
    CHECK(absl::IsNotFound(machine.Remembered(bdf).status()));
  }
}

TEST_CASE("an unbind that fails changes nothing but says so") {
  Machine machine("nvidia");
  machine.kernel.FailWrite("nvidia/unbind", absl::FailedPreconditionError("busy"));
  CHECK(Says(machine.Reach(Goal::kVfio), "given back as it was"));
  CHECK(machine.Read().driver == "nvidia");
  CHECK(machine.Override() == "(null)");
}

TEST_CASE("what cannot be written is found out before the first write") {
  Machine machine("nvidia");
  const vfio::Unit unit = machine.Unit();
  machine.root.Remove("/sys/bus/pci/drivers/vfio-pci");
  const absl::Status status = vfio::Execute(machine.kernel, machine.clock, unit, {});
  CHECK(absl::IsNotFound(status));
  CHECK(Says(status, "nothing changed"));
  CHECK_FALSE(machine.Wrote());
}

TEST_CASE("a write that never returns leaves the device alone, also the next time") {
  Machine machine("nvidia");
  machine.kernel.FailWrite("nvidia/unbind", absl::DeadlineExceededError("stuck"));
  CHECK(absl::IsDeadlineExceeded(machine.Reach(Goal::kVfio)));
  CHECK(machine.kernel.writes().size() == 2);  // override and unbind, nothing after
  // Whoever still writes keeps the lock.
  const auto child = FileLock::Acquire(machine.kernel, machine.clock, kBdf, Duration::zero());
  REQUIRE(child.ok());
  const absl::Status again = machine.Reach(Goal::kVfio);
  CHECK(absl::IsDeadlineExceeded(again));
  CHECK(Says(again, "stuck"));
  CHECK(machine.kernel.writes().size() == 2);
  machine.kernel.ReturnFromWrites();
  CHECK(absl::IsUnavailable(machine.Reach(Goal::kVfio)));
}

TEST_CASE(
    "a device that somebody else changes is not called stuck, whatever his process's number") {
  Machine machine("nvidia");
  // Both are process 1 in their containers.
  const auto lock = FileLock::Acquire(machine.kernel, machine.clock, kBdf, Duration::zero());
  const absl::Status status = machine.Reach(Goal::kVfio);
  CHECK(absl::IsUnavailable(status));
  CHECK(Says(status, "is changing this device"));
}

TEST_CASE("a unit's locks are taken in the order of addresses") {
  struct Waiting : fake::FakeClock {
    void SleepFor(Duration duration) override {
      fake::FakeClock::SleepFor(duration);
      if (kernel != nullptr) held_meanwhile |= FileLock::HeldBy(*kernel, kAudio).has_value();
    }
    const HostFs* kernel = nullptr;
    bool held_meanwhile = false;
  };
  Machine machine("nvidia");
  machine.AddAudio("snd_hda_intel");  // which is written first
  Waiting clock;
  const auto lock = FileLock::Acquire(machine.kernel, clock, kBdf, Duration::zero());
  clock.kernel = &machine.kernel;
  const vfio::Unit unit = machine.Unit();
  REQUIRE(unit.functions.front().bdf.ToString() == kAudio);
  CHECK(absl::IsUnavailable(vfio::Execute(machine.kernel, clock, unit, {})));
  CHECK_FALSE(clock.held_meanwhile);
}

TEST_CASE("what has changed since the plan stops it before the first write") {
  Machine machine("nvidia");
  const vfio::Unit unit = machine.Unit();
  SECTION("another driver") {
    machine.kernel.AddDriver("pci-stub");
    machine.root.Link("/sys/bus/pci/devices/0000:41:00.0/driver", "../../drivers/pci-stub");
    CHECK(absl::IsAborted(vfio::Execute(machine.kernel, machine.clock, unit, {})));
  }
  SECTION("a user") {
    machine.kernel.HoldNvidia(9, "worker", "0000:41:00.0");
    CHECK(Says(vfio::Execute(machine.kernel, machine.clock, unit, {}), "in use by worker (pid 9)"));
  }
  SECTION("users cannot be seen any more") {
    machine.root.Remove("/proc/2");
    const absl::Status status = vfio::Execute(machine.kernel, machine.clock, unit, {});
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(Says(status, "hostPID"));
  }
  SECTION("it vanished") {
    machine.root.Remove("/sys/bus/pci/devices/0000:41:00.0");
    CHECK(absl::IsNotFound(vfio::Execute(machine.kernel, machine.clock, unit, {})));
  }
  SECTION("others object") {
    const vfio::Conduct conduct{.last_look = [] { return absl::FailedPreconditionError("no"); }};
    CHECK(absl::IsFailedPrecondition(vfio::Execute(machine.kernel, machine.clock, unit, conduct)));
  }
  CHECK_FALSE(machine.Wrote());
}

TEST_CASE("where users cannot be seen a device is moved by force alone") {
  Machine machine("nvidia");
  machine.root.Remove("/proc/2");
  const vfio::Unit unit = machine.Unit({.force = true});
  CHECK(vfio::Execute(machine.kernel, machine.clock, unit, {.force = true}).ok());
  CHECK(machine.Read().driver == "vfio-pci");
}

TEST_CASE("a device that vanishes half way is told to be gone") {
  Machine machine("nvidia");
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("vfio-pci/bind")) machine.root.Remove("/sys/bus/pci/devices/0000:41:00.0");
  });
  CHECK(Says(machine.Reach(Goal::kVfio), "it is gone"));
}

TEST_CASE("a kernel that says yes and does nothing is caught") {
  Machine machine("");
  // Somebody else makes the group disappear under our bind.
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/bind"))
      machine.root.Remove("/sys/bus/pci/devices/0000:41:00.0/iommu_group");
  });
  CHECK_FALSE(machine.Reach(Goal::kVfio).ok());
  CHECK_FALSE(machine.Read().driver);
  CHECK(machine.Override() == "(null)");
}

TEST_CASE("a kill between unbind and bind does not make the next run forget the driver") {
  struct Killed {};
  Machine machine("nvidia");
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("vfio-pci/bind")) throw Killed();
  });
  CHECK_THROWS_AS(machine.Reach(Goal::kVfio), Killed);
  machine.kernel.OnWrite(nullptr);
  CHECK_FALSE(machine.Read().driver);
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  REQUIRE(machine.Reach(Goal::kDefault).ok());
  CHECK(machine.Read().driver == "nvidia");
  CHECK(machine.Override() == "(null)");
}

TEST_CASE("a record that is none is as good as no record") {
  Machine machine("");
  machine.root.File(std::string("/run/nvidia/gpuhost/vfio/") + kBdf, "state=odd\n");
  machine.root.File("/run/nvidia/gpuhost/vfio/README", "x");
  CHECK(absl::IsDataLoss(machine.Remembered().status()));
  CHECK(vfio::ReadRecords(machine.kernel).empty());
  const Record record{.state = Record::State::kTaken, .driver = "a b", .power_control = "auto"};
  machine.Remember(kBdf, record);
  CHECK(*machine.Remembered() == record);
}

TEST_CASE("what nvidia says is in use in the kernel is not unbound; else its lock is given back") {
  Machine machine("nvidia");
  machine.AddAudio("snd_hda_intel");
  const std::string lock = std::string("/proc/driver/nvidia/gpus/") + kBdf + "/unbindLock";
  SECTION("in use") {
    machine.kernel.AddUnbindLock(kBdf, true);
    machine.root.Directory("/sys/module/nvidia/holders/nvidia_drm");
    const absl::Status status = machine.Reach(Goal::kVfio);
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(Says(status, "stands on the driver (nvidia_drm)"));
    CHECK(machine.kernel.writes() == std::vector<std::string>{lock + " := 1"});
  }
  SECTION("free") {
    machine.kernel.AddUnbindLock(kBdf, false);
    CHECK(machine.Reach(Goal::kVfio).ok());
    CHECK(machine.root.Content(lock) == "1\n");  // the kernel removes it with the driver
  }
  SECTION("not unbound after all") {
    machine.kernel.AddUnbindLock(kBdf, false);
    machine.kernel.FailWrite("nvidia/unbind", absl::FailedPreconditionError("busy"));
    CHECK_FALSE(machine.Reach(Goal::kVfio).ok());
    CHECK(machine.root.Content(lock) == "0\n");
  }
}

TEST_CASE("settings of a device that something else bound are remembered and put back") {
  Machine machine("vfio-pci");
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  CHECK(machine.Override() == "vfio-pci");
  CHECK(machine.Read().d3cold_allowed == "0");
  CHECK(machine.Remembered()->state == Record::State::kAdjusted);
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  CHECK(machine.Remembered()->d3cold_allowed == "1");
  SECTION("it is left where it was") {
    CHECK(machine.Unit({.goal = Goal::kDriverless}).note.find("put back") != std::string::npos);
    REQUIRE(machine.Reach(Goal::kDriverless).ok());
    CHECK(machine.Read().driver == "vfio-pci");
    CHECK(machine.Override() == "(null)");
    CHECK(machine.Read().d3cold_allowed == "1");
    CHECK(absl::IsNotFound(machine.Remembered().status()));
  }
  SECTION("unless it is unbound as well") {
    const vfio::Unit unit = machine.Unit({.goal = Goal::kDriverless, .foreign = true});
    REQUIRE(vfio::Execute(machine.kernel, machine.clock, unit, {}).ok());
    CHECK_FALSE(machine.Read().driver);
    CHECK(machine.Read().d3cold_allowed == "1");
  }
  SECTION("asked for by its address it is not ours to unbind") {
    const vfio::Unit unit =
        machine.Unit({.goal = Goal::kDriverless, .devices = {machine.Bdf(kBdf)}});
    CHECK_FALSE(unit.Admission().ok());
  }
}

TEST_CASE("a VFIO driver that takes a device by its ids is named as the reason") {
  Machine machine("nvidia");
  REQUIRE(machine.Reach(Goal::kVfio).ok());
  machine.root.Remove("/sys/bus/pci/drivers/nvidia");
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("drivers_probe")) {
      machine.root.Link(std::string("/sys/bus/pci/devices/") + kBdf + "/driver",
                        "../../drivers/vfio-pci");
    }
  });
  const absl::Status status = machine.Reach(Goal::kDefault);
  CHECK(Says(status, "the driver is 'vfio-pci' afterwards"));
  CHECK(Says(status, "ids="));
  CHECK(Says(status, "new_id"));
}
