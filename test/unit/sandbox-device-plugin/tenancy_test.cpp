// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/tenancy.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/vgpu/board.h"
#include "test/vgpu/virtual_gpu.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const std::string kBdf = "0000:01:00.0";

struct Bench {
  explicit Bench(bool reset) : tenancy(kernel, clock, reset) {
    kernel.Add({.bdf = kBdf, .iommu_group = 7, .driver = "vfio-pci", .gpu = &gpu});
    devices = *pci::ScanNvidia(kernel);
  }
  void Open() { kernel.HoldOpen(42, "qemu-system-x86", "/sys/class/vfio/7/dev"); }
  void Close() { root.Remove("/proc/42"); }
  Problem Examine(bool assigned, bool withheld = false, bool hands_off = false) {
    const auto problems = tenancy.Examine({{unit, assigned, withheld, hands_off}}, devices);
    return problems.empty() ? Problem{} : problems.at("7");
  }
  Reason Why(bool assigned, bool withheld = false) { return Examine(assigned, withheld).reason; }
  size_t Resets() const {
    const auto writes = kernel.writes();
    return static_cast<size_t>(std::ranges::count_if(
        writes, [](const std::string& write) { return write.ends_with("/reset := 1"); }));
  }

  const Unit unit{.id = "7", .bdfs = {{.bus = 1}}, .nodes = {"/dev/vfio/7"}};
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  vgpu::VirtualGpu gpu{*vgpu::FindBoard("h100-pcie"), clock, std::chrono::milliseconds(1)};
  std::vector<pci::Device> devices;
  Tenancy tenancy;
};

}  // namespace

TEST_CASE("a unit is offered again when its last virtual machine has ended") {
  Bench bench(false);
  bench.Open();
  CHECK(bench.Why(true) == Reason::kNone);  // in use is healthy
  CHECK(bench.tenancy.HasNews({{bench.unit, false, false, false}}));
  const Problem open = bench.Examine(false);
  CHECK(open.reason == Reason::kOpen);
  CHECK(open.text.find("qemu-system-x86 (pid 42)") != std::string::npos);
  CHECK(bench.tenancy.waiting());
  CHECK(bench.Why(false, true) == Reason::kOpen);
  bench.Close();
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK_FALSE(bench.tenancy.waiting());
  CHECK(bench.Resets() == 0);
}

TEST_CASE("a unit that somebody opens without the kubelet is found by the patrol") {
  Bench bench(false);
  CHECK(bench.Why(false) == Reason::kNone);
  bench.Open();
  CHECK(bench.Why(false) == Reason::kNone);
  bench.clock.SleepFor(Tenancy::kPatrol);
  CHECK(bench.Why(false) == Reason::kOpen);
  CHECK(bench.Why(true) == Reason::kNone);  // the kubelet was late to tell
}

TEST_CASE("a unit is reset between two users, when it is withheld and nobody has it") {
  Bench bench(true);
  CHECK(bench.Why(true) == Reason::kNone);
  bench.Open();
  CHECK(bench.Why(false) == Reason::kOpen);
  CHECK(bench.Why(false, true) == Reason::kOpen);
  CHECK(bench.Resets() == 0);
  bench.Close();
  CHECK(bench.Why(false, false) == Reason::kOpen);  // the kubelet may give it away at this moment
  CHECK(bench.Resets() == 0);
  CHECK(bench.Why(true, true) == Reason::kNone);  // it did
  CHECK(bench.Resets() == 0);
  CHECK(bench.Why(false, false) == Reason::kOpen);
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 1);
  bench.clock.SleepFor(Tenancy::kPatrol);
  CHECK(bench.Why(false) == Reason::kNone);
  CHECK(bench.Resets() == 1);
}

TEST_CASE("a unit that was idle from the start is not reset") {
  Bench bench(true);
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.Why(false) == Reason::kNone);
    bench.clock.SleepFor(Tenancy::kPatrol);
  }
  CHECK(bench.Resets() == 0);
}

TEST_CASE("a reset that fails keeps the unit, and is tried again by the patrol") {
  Bench bench(true);
  bench.Why(true);
  bench.Why(false);
  bench.kernel.FailWrite("/reset", absl::UnavailableError("no"));
  CHECK(bench.Why(false, true) == Reason::kResetFailed);
  CHECK(bench.Why(false, true) == Reason::kResetFailed);
  CHECK(bench.kernel.writes().size() == 1);
  bench.clock.SleepFor(Tenancy::kPatrol);
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 2);
}

TEST_CASE("a unit whose mode cc-manager changes is not touched") {
  Bench bench(true);
  bench.Why(true);
  CHECK(bench.Examine(false, true, true).reason == Reason::kNone);
  CHECK(bench.Resets() == 0);
  CHECK(bench.Why(false, false) == Reason::kOpen);  // its last user is not forgotten
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 1);
}

TEST_CASE("a unit that is given away before its release was seen is reset first") {
  Bench bench(true);
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 1);  // it may have had a user before we started
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 2);
  bench.Why(true);
  bench.Why(false);
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 3);
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 3);  // it was at its release
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 4);
}

TEST_CASE("what is open or cannot be reset is not given away") {
  Bench bench(true);
  bench.Open();
  const absl::Status open = bench.tenancy.Prepare(bench.unit);
  CHECK(absl::IsFailedPrecondition(open));
  CHECK(Text(open).find("0000:01:00.0 is to be reset before its next user and is open still: "
                        "qemu-system-x86 (pid 42)") == 0);
  CHECK(bench.Resets() == 0);
  bench.Close();
  bench.kernel.FailWrite("/reset", absl::UnavailableError("no"));
  CHECK(absl::IsUnavailable(bench.tenancy.Prepare(bench.unit)));
  bench.root.Remove("/sys/bus/pci/devices/" + kBdf);
  CHECK_FALSE(bench.tenancy.Prepare(bench.unit).ok());
}

TEST_CASE("a unit that somebody used without the kubelet is reset again") {
  Bench bench(true);
  bench.Why(true);
  bench.Why(false);
  bench.Why(false, true);
  REQUIRE(bench.Resets() == 1);
  bench.Open();
  bench.clock.SleepFor(Tenancy::kPatrol);
  CHECK(bench.Why(false) == Reason::kOpen);
  bench.Close();
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 2);
}

TEST_CASE("without being told to nothing is reset") {
  Bench bench(false);
  bench.Open();
  CHECK(bench.tenancy.Prepare(bench.unit).ok());
  CHECK(bench.Resets() == 0);
}
