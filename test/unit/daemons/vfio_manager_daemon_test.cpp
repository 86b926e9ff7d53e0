// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "daemons/common/service/exit_code.h"
#include "daemons/vfio-manager/daemon.h"
#include "daemons/vfio-manager/ears.h"
#include "daemons/vfio-manager/reporter.h"
#include "daemons/vfio-manager/retries.h"
#include "libgpuhost/base/status.h"
#include "test/unit/daemons/vfio_manager_bench.h"

using namespace gpuhost;
using namespace gpuhost::vfio_manager;

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kGpu = "0000:01:00.0";

// Runs the daemon's loop for `length`. As a kernel does, each bind and unbind wakes it at once.
struct Daemon : Bench {
  void RunFor(Duration length) {
    bool woken = false;
    kernel.OnWrite([&](const std::string& path) {
      woken = woken || path.ends_with("/bind") || path.ends_with("/unbind");
    });
    const TimePoint end = clock.Now() + length;
    passes = 0;
    Loop(deps, kRunAll, [&](Duration limit) {
      ++passes;
      if (each_pass) each_pass();
      if (!std::exchange(woken, false)) clock.SleepFor(limit);
      return clock.Now() < end && passes < 10'000;
    });
    kernel.OnWrite(nullptr);
  }
  // How often the GPU was taken from its driver.
  int64_t Unbinds() const {
    const auto writes = kernel.writes();
    return std::ranges::count_if(writes, [](const std::string& write) {
      return write.find("nvidia/unbind := ") != std::string::npos;
    });
  }
  void RefuseBind() {
    kernel.FailWritesWhile([](const std::string& path) { return path.ends_with("vfio-pci/bind"); });
  }

  int passes = 0;
  std::function<void()> each_pass;
};

vfio::Unit UnitOf(const std::string& driver) {
  const auto bdf = *pci::Bdf::Parse(kGpu);
  return {.goal = vfio::Goal::kVfio, .leads = {bdf}, .functions = {{.bdf = bdf, .driver = driver}}};
}

}  // namespace

TEST_CASE("a GPU that cannot be bound is tried at growing intervals, though each try is an event") {
  Daemon daemon;
  daemon.kernel.Add({.bdf = kGpu, .driver = "nvidia"});
  daemon.RefuseBind();
  daemon.RunFor(minutes(10));
  // After 0, 5, 15, 35, 75, 135 s, and then once a minute.
  CHECK(daemon.Unbinds() == 13);
  CHECK(daemon.DriverOf(kGpu) == "nvidia");
  daemon.kernel.FailWritesWhile(nullptr);
  daemon.RunFor(minutes(2));
  CHECK(daemon.DriverOf(kGpu) == "vfio-pci");
}

TEST_CASE("a GPU that somebody else moves meanwhile is tried at once, and not again and again") {
  Daemon daemon;
  daemon.kernel.Add({.bdf = kGpu, .driver = "nvidia"});
  daemon.kernel.AddDriver("nouveau");
  daemon.RefuseBind();
  bool nouveau = false;
  daemon.each_pass = [&] {
    nouveau = !nouveau;
    daemon.root.Link(std::string("/sys/bus/pci/devices/") + kGpu + "/driver",
                     nouveau ? "../../drivers/nouveau" : "../../drivers/nvidia");
  };
  daemon.RunFor(seconds(5));
  const auto writes = daemon.kernel.writes();
  CHECK(std::ranges::count_if(writes, [](const std::string& write) {
          return write.find("/unbind := ") != std::string::npos;
        }) <= 8);
  CHECK(daemon.Unbinds() >= 1);
}

TEST_CASE("one that is in the way is looked for at growing intervals, and its end is used") {
  Daemon daemon;
  daemon.kernel.Add({.bdf = kGpu, .driver = "nvidia"});
  daemon.HoldNvidia(kGpu);
  daemon.each_pass = [&] {
    if (daemon.passes == 4) daemon.root.Remove("/proc/9");
  };
  daemon.RunFor(minutes(3));
  CHECK(daemon.DriverOf(kGpu) == "vfio-pci");
  CHECK(daemon.Unbinds() == 1);
}

TEST_CASE("retries are spaced out, up to a minute") {
  Retries retries;
  TimePoint now;
  const absl::Status failed = absl::InternalError("no");
  CHECK(retries.Pause(now) == minutes(1));
  for (const int pause : {5, 10, 20, 40, 60, 60}) {
    CHECK_FALSE(retries.Held(UnitOf("nvidia"), now));
    retries.Tried(UnitOf("nvidia"), failed, now);
    CHECK(retries.Pause(now) == seconds(pause));
    CHECK(retries.Held(UnitOf("nvidia"), now + seconds(pause) - std::chrono::nanoseconds(1)) ==
          failed);
    now += seconds(pause);
  }
  SECTION("what is not as it was left is tried, three times") {
    retries.Tried(UnitOf("nvidia"), failed, now);
    for (int i = 0; i < 3; ++i) CHECK_FALSE(retries.Held(UnitOf("nouveau"), now));
    CHECK(retries.Held(UnitOf("nouveau"), now) == failed);
    CHECK_FALSE(retries.Held(UnitOf("nouveau"), now + minutes(1)));
  }
  SECTION("success begins anew, and so does one that was away") {
    retries.Succeeded(UnitOf("nvidia"));
    CHECK(retries.Pause(now) == minutes(1));
    retries.Tried(UnitOf("nvidia"), failed, now);
    CHECK(retries.Pause(now) == seconds(5));
    retries.Keep({});
    CHECK_FALSE(retries.Held(UnitOf("nvidia"), now));
  }
  SECTION("one whose lock another program has is not held back") {
    retries.Tried(UnitOf("nvidia"), absl::UnavailableError("cc-manager is changing it"), now);
    CHECK_FALSE(retries.Held(UnitOf("nvidia"), now));
  }
}

TEST_CASE("the wait for a change ends with cc-manager's document, with a signal, or in time") {
  Bench bench;
  SystemClock clock;
  bench.root.Directory("/run/nvidia/gpuhost");
  int stop[2];
  REQUIRE(::pipe2(stop, O_CLOEXEC) == 0);
  const UniqueFd reads(stop[0]), writes(stop[1]);
  auto ears = Ears::Open(bench.kernel, reads.get());
  REQUIRE(ears.ok());
  bench.PublishMode("arming", "on", kGpu);
  CHECK(ears->Wait(clock, minutes(1)) == Ears::Heard::kChange);
  bench.root.Remove("/run/nvidia/gpuhost");  // and another directory of that name
  CHECK(ears->Wait(clock, minutes(1)) == Ears::Heard::kChange);
  bench.PublishMode("steady", "on", kGpu);
  CHECK(ears->Wait(clock, Duration::zero()) != Ears::Heard::kStop);
  bench.PublishMode("arming", "on", kGpu);
  CHECK(ears->Wait(clock, minutes(1)) == Ears::Heard::kChange);
  REQUIRE(::write(writes.get(), "x", 1) == 1);
  CHECK(ears->Wait(clock, minutes(1)) == Ears::Heard::kStop);
}

TEST_CASE("a node without a free inotify instance is served by passes that come sooner") {
  Bench bench;
  int stop[2];
  REQUIRE(::pipe2(stop, O_CLOEXEC) == 0);
  const UniqueFd reads(stop[0]), writes(stop[1]);
  int opened = 0;
  auto ears = Ears::Open(bench.kernel, reads.get(), [&] {
    ++opened;
    return absl::ResourceExhaustedError("inotify_init1: Too many open files");
  });
  REQUIRE(ears.ok());
  struct Hasty : fake::FakeClock {  // eleven seconds go by at each look
    TimePoint Now() override { return fake::FakeClock::Now() + seconds(11) * looks++; }
    int looks = 0;
  } clock;
  CHECK(ears->Wait(clock, minutes(1)) != Ears::Heard::kStop);
  CHECK(clock.looks <= 4);
  CHECK(opened == 2);  // there may be one now
}

TEST_CASE("what somebody removes or changes of the daemon's files is written again") {
  Bench bench;
  bench.kernel.Add({.bdf = kGpu});
  Reporter reporter(bench.kernel, "/run/nvidia/validations");
  reporter.Report(bench.Apply(kRunAll));
  // The preStop hook of the GPU Operator's validator removes all of them.
  bench.root.Remove("/run/nvidia/validations");
  bench.root.Remove("/run/nvidia/gpuhost/vfio-manager.json");
  reporter.Report(bench.Apply(kRunAll));
  CHECK(bench.root.Exists("/run/nvidia/validations/vfio-pci-ready"));
  CHECK(bench.root.Content("/run/nvidia/validations/workload-type") == "vm-passthrough\n");
  CHECK(service::ReadStatusDocument(bench.kernel, "vfio-manager")->devices.size() == 1);
  bench.root.File("/run/nvidia/validations/workload-type", "container\n");
  bench.root.File("/run/nvidia/gpuhost/vfio-manager.json", "{}");
  reporter.Report(bench.Apply(kRunAll));
  CHECK(bench.root.Content("/run/nvidia/validations/workload-type") == "vm-passthrough\n");
  CHECK(service::ReadStatusDocument(bench.kernel, "vfio-manager").ok());
}

TEST_CASE("a node is not ready while a GPU is left alone, as it was unbound on request") {
  Bench bench;
  bench.kernel.Add({.bdf = kGpu, .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  Reporter reporter(bench.kernel, "/run/nvidia/validations");
  reporter.Report(bench.Apply(kRunAll));
  CHECK(bench.root.Exists("/run/nvidia/validations/vfio-pci-ready"));
  REQUIRE(bench.Run({.verb = Verb::kUnbind, .devices = {kGpu}}) == service::kDone);
  reporter.Report(bench.Apply(kRunAll));
  CHECK_FALSE(bench.root.Exists("/run/nvidia/validations/vfio-pci-ready"));
}

TEST_CASE("a daemon leaves what was unbound on request, until it starts anew") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "nvidia"});
  REQUIRE(bench.Apply(kRunAll).ok());
  Options back = kUnbindAll;
  back.to = vfio::Goal::kDefault;
  back.all = false;
  back.devices = {"0000:02:00.0"};
  REQUIRE(bench.Run(back) == service::kDone);
  back.devices = {"0000:01:00.0"};
  back.to = vfio::Goal::kDriverless;
  REQUIRE(bench.Run(back) == service::kDone);
  REQUIRE(bench.Apply(kRunAll).ok());
  CHECK(bench.DriverOf("0000:01:00.0").empty());
  CHECK(bench.DriverOf("0000:02:00.0") == "nvidia");
  vfio_manager::ForgetReleases(bench.kernel);
  REQUIRE(bench.Apply(kRunAll).ok());
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
  CHECK(bench.DriverOf("0000:02:00.0") == "nvidia");  // returned, not just released
  REQUIRE(bench.Apply(kBindAll).ok());
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");

  bench.root.Remove("/sys/bus/pci/devices/0000:02:00.0");
  vfio_manager::ForgetAbsent(bench.kernel);
  CHECK(vfio::ReadRecords(bench.kernel).size() == 1);
}

TEST_CASE("at its end a daemon leaves devices or unbinds free ones, as it was told to") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "vfio-pci"});  // foreign
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3});
  REQUIRE(bench.Apply(kRunAll).ok());
  bench.kernel.HoldOpen(9, "worker", "/sys/class/vfio/3/dev");
  Options options = kRunAll;
  CHECK(vfio_manager::UnbindAtExit(bench.deps, options) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
  options.on_exit = vfio_manager::OnExit::kUnbindIdle;
  CHECK(vfio_manager::UnbindAtExit(bench.deps, options) == service::kFailed);
  CHECK(bench.DriverOf("0000:01:00.0").empty());
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
  options.on_exit = vfio_manager::OnExit::kUnbindAll;
  CHECK(vfio_manager::UnbindAtExit(bench.deps, options) == service::kFailed);
  CHECK(bench.DriverOf("0000:02:00.0").empty());
  CHECK(bench.DriverOf("0000:03:00.0") == "vfio-pci");
  // Nothing says "on request", so the next start binds again.
  REQUIRE(bench.Apply(kRunAll).ok());
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
}

TEST_CASE("document and validation files say what is bound, and are written only on change") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "nvidia"});
  bench.HoldNvidia("0000:02:00.0");
  const std::string ready = "/run/nvidia/validations/vfio-pci-ready";
  bench.root.File(ready, "");  // left by somebody who was killed
  vfio_manager::Reporter reporter(bench.kernel, "/run/nvidia/validations");
  reporter.Report(bench.Apply(kRunAll));
  CHECK_FALSE(bench.root.Exists(ready));
  CHECK(bench.root.Content("/run/nvidia/validations/workload-type") == "vm-passthrough\n");
  const auto document = service::ReadStatusDocument(bench.kernel, "vfio-manager");
  REQUIRE(document->devices.size() == 2);
  CHECK(document->devices[0].state == "vfio-pci");
  CHECK(document->devices[1].state == "nvidia");
  CHECK(document->devices[1].error.find("python3 (pid 9)") != std::string::npos);

  reporter.Report(bench.Apply(kRunAll));
  CHECK(service::ReadStatusDocument(bench.kernel, "vfio-manager")->generation == 1);
  bench.root.Remove("/proc/9");
  reporter.Report(bench.Apply(kRunAll));
  CHECK(service::ReadStatusDocument(bench.kernel, "vfio-manager")->generation == 2);
  CHECK(bench.root.Exists(ready));
  reporter.Report(absl::NotFoundError("no NVIDIA GPU on this machine"));
  CHECK_FALSE(bench.root.Exists(ready));
}
