// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/tenancy.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/vgpu/board.h"
#include "test/vgpu/virtual_gpu.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

const std::string kBdf = "0000:01:00.0";

struct Bench {
  explicit Bench(bool reset)
      : tenancy(kernel, clock, reset, [this](std::span<const pci::Device> asked) {
          vfio::Holders found = vfio::FindHolders(kernel, asked);
          if (!blind.ok()) found.complete = blind;
          return found;
        }) {
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
  absl::Status blind;  // why not all users are seen
  Tenancy tenancy;
};

// Sixteen GPUs, of which some do not come back from a reset.
struct Many {
  Many() {
    for (int bus = 1; bus <= 16; ++bus) {
      const pci::Bdf bdf{.bus = static_cast<uint8_t>(bus)};
      gpus.push_back(std::make_unique<vgpu::VirtualGpu>(*vgpu::FindBoard("h100-pcie"), clock,
                                                        std::chrono::milliseconds(1)));
      kernel.Add({.bdf = bdf.ToString(),
                  .iommu_group = bus,
                  .driver = "vfio-pci",
                  .gpu = gpus.back().get()});
      units.push_back(
          {.id = std::to_string(bus), .bdfs = {bdf}, .nodes = {fmt::format("/dev/vfio/{}", bus)}});
    }
    kernel.OnWrite([this](const std::string& path) {
      if (path.ends_with("/reset")) Meet();
    });
  }
  auto Examine(bool assigned) {
    std::vector<Tenancy::Tenant> tenants;
    for (const Unit& unit : units) tenants.push_back({unit, assigned, !assigned, false});
    return tenancy.Examine(tenants, *pci::ScanNvidia(kernel));
  }
  // Returns when all are being reset.
  void Meet() {
    std::unique_lock lock(mutex);
    if (++resetting % units.size() == 0) together = true;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::seconds(20), [this] { return together; });
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  std::vector<std::unique_ptr<vgpu::VirtualGpu>> gpus;
  std::vector<Unit> units;
  std::mutex mutex;
  std::condition_variable changed;
  size_t resetting = 0;
  bool together = false;
  Tenancy tenancy{kernel, clock, true};
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
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 1);  // it may have had a user before we started
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 2);
  bench.Why(true);
  bench.Why(false);
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 3);
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 3);  // it was at its release
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 4);
}

TEST_CASE("what is open or cannot be reset is not given away") {
  Bench bench(true);
  bench.Open();
  const absl::Status open = bench.tenancy.Prepare({bench.unit});
  CHECK(absl::IsFailedPrecondition(open));
  CHECK(Text(open).find("0000:01:00.0 is to be reset before its next user and is open still: "
                        "qemu-system-x86 (pid 42)") == 0);
  CHECK(bench.Resets() == 0);
  bench.Close();
  bench.kernel.FailWrite("/reset", absl::UnavailableError("no"));
  CHECK(absl::IsUnavailable(bench.tenancy.Prepare({bench.unit})));
  bench.root.Remove("/sys/bus/pci/devices/" + kBdf);
  CHECK_FALSE(bench.tenancy.Prepare({bench.unit}).ok());
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
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 2);
}

TEST_CASE("without being told to nothing is reset") {
  Bench bench(false);
  bench.Open();
  CHECK(bench.tenancy.Prepare({bench.unit}).ok());
  CHECK(bench.Resets() == 0);
}

TEST_CASE("where users cannot be seen nothing is reset, and nothing is called clean") {
  Bench bench(true);
  bench.blind = absl::PermissionDeniedError("needs CAP_SYS_PTRACE");
  const Problem unseen = bench.Examine(false);
  CHECK(unseen.reason == Reason::kUnseen);
  CHECK_THAT(unseen.text, Contains("needs CAP_SYS_PTRACE"));
  bench.Why(true);
  CHECK(bench.Why(false) == Reason::kUnseen);
  CHECK(bench.Why(false, true) == Reason::kUnseen);
  const absl::Status refused = bench.tenancy.Prepare({bench.unit});
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK_THAT(Text(refused), Contains("needs CAP_SYS_PTRACE"));
  CHECK(bench.Resets() == 0);

  bench.blind = absl::OkStatus();
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Resets() == 1);
  bench.blind = absl::PermissionDeniedError("needs CAP_SYS_PTRACE");
  bench.clock.SleepFor(Tenancy::kPatrol);
  CHECK(bench.Why(false) == Reason::kNone);  // nobody has had it since
}

TEST_CASE(
    "where users cannot be seen and nothing is reset, a released unit is offered a minute later") {
  Bench bench(false);
  bench.blind = absl::UnavailableError("not the host's processes");
  CHECK(bench.Why(false) == Reason::kNone);  // no user was known
  bench.Why(true);
  CHECK(bench.Why(false) == Reason::kUnseen);
  bench.clock.SleepFor(Tenancy::kGrace - std::chrono::seconds(1));
  CHECK(bench.Why(false, true) == Reason::kUnseen);
  bench.clock.SleepFor(std::chrono::seconds(1));
  CHECK(bench.Why(false, true) == Reason::kNone);
  CHECK(bench.Why(false) == Reason::kNone);
  bench.Why(true);
  CHECK(bench.Why(false) == Reason::kUnseen);  // the next user

  bench.Open();  // seen after all
  CHECK(bench.Why(false) == Reason::kOpen);
  bench.Close();
  CHECK(bench.Why(false) == Reason::kUnseen);
  bench.blind = absl::OkStatus();
  CHECK(bench.Why(false) == Reason::kNone);
}

TEST_CASE("units are reset side by side after their users") {
  Many many;
  many.Examine(true);
  CHECK(many.Examine(false).empty());
  CHECK(many.together);
}

TEST_CASE("units that are given away together are reset side by side") {
  Many many;
  CHECK(many.tenancy.Prepare(many.units).ok());
  CHECK(many.together);
}

TEST_CASE("one that does not come back from its reset keeps no other") {
  Many many;
  many.Examine(true);
  many.kernel.FailWrite("0000:03:00.0/reset", absl::DeadlineExceededError("stuck"));
  const auto problems = many.Examine(false);
  REQUIRE(problems.size() == 1);
  CHECK(problems.at("3").reason == Reason::kResetFailed);
}

namespace {

// Time passes while a lock is waited for, and at some moment its holder ends.
class Passing : public fake::FakeClock {
 public:
  void SleepFor(Duration duration) override {
    FakeClock::SleepFor(duration);
    if (holder && Now() >= until) holder.reset();
  }
  std::optional<FileLock> holder;
  TimePoint until = TimePoint::max();
};

// Remembers how long writes may take.
class Patient : public fake::FakeKernel {
 public:
  using FakeKernel::FakeKernel;
  absl::Status WriteWithin(Duration limit, std::string_view path, std::string_view text) override {
    limits.push_back(limit);
    return FakeKernel::WriteWithin(limit, path, text);
  }
  std::vector<Duration> limits;
};

}  // namespace

TEST_CASE("whoever asks for a unit is answered in time, whatever others do to it") {
  fake::TempRoot root;
  Patient kernel(root);
  Passing clock;
  vgpu::VirtualGpu gpu(*vgpu::FindBoard("h100-pcie"), clock, std::chrono::milliseconds(1));
  kernel.Add({.bdf = kBdf, .iommu_group = 7, .driver = "vfio-pci", .gpu = &gpu});
  const Unit unit{.id = "7", .bdfs = {{.bus = 1}}, .nodes = {"/dev/vfio/7"}};
  Tenancy tenancy(kernel, clock, true);
  const TimePoint start = clock.Now();
  clock.holder = *FileLock::Acquire(kernel, clock, kBdf, {});
  SECTION("for ever") {
    CHECK(absl::IsUnavailable(tenancy.Prepare({unit})));
    CHECK(clock.Now() - start < std::chrono::seconds(30));
    CHECK(kernel.limits.empty());
  }
  SECTION("for a while") {
    clock.until = start + std::chrono::seconds(15);
    CHECK(tenancy.Prepare({unit}).ok());
    REQUIRE(kernel.limits.size() == 1);
    CHECK(kernel.limits[0] <= std::chrono::seconds(10));
    CHECK(kernel.limits[0] > std::chrono::seconds(9));
  }
}
