// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <latch>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"
#include "daemons/vfio-manager/daemon.h"
#include "daemons/vfio-manager/host_root.h"
#include "daemons/vfio-manager/manager.h"
#include "daemons/vfio-manager/mode_change.h"
#include "daemons/vfio-manager/render.h"
#include "daemons/vfio-manager/reporter.h"
#include "daemons/vfio-manager/run.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;
using vfio_manager::Options;
using vfio_manager::Verb;

namespace {

struct Bench {
  absl::StatusOr<std::vector<vfio_manager::UnitOutcome>> Apply(const Options& options) {
    const auto request = vfio_manager::MakeRequest(kernel, options);
    if (!request.ok()) return request.status();
    return vfio_manager::Apply(deps, *request, {}, options.dry_run);
  }
  int Run(const Options& options) { return vfio_manager::RunOnce(deps, options); }
  std::string DriverOf(const std::string& bdf) const {
    return kernel.LinkName("/sys/bus/pci/devices/" + bdf + "/driver").value_or("");
  }
  void HoldNvidia(const std::string& bdf) { kernel.HoldNvidia(9, "python3", bdf); }
  void PublishMode(const std::string& phase, const std::string& mode, const std::string& bdf) {
    REQUIRE(service::Publish(
                kernel,
                {.daemon = "cc-manager", .phase = phase, .target = mode, .devices = {{.bdf = bdf}}})
                .ok());
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  vfio_manager::Deps deps{kernel, clock,
                          [](const std::string&) { return absl::UnknownError("no module"); }};
};

// Another process that is cc-manager as long as it lives.
class CcManager {
 public:
  explicit CcManager(HostFs& fs) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto instance = service::Instance::Claim(fs, "cc-manager");
      if (::write(ends[1], "y", instance.ok() ? 1 : 0) == 1) ::pause();
      ::_exit(0);
    }
    char done = 0;
    REQUIRE(::read(ends[0], &done, 1) == 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~CcManager() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

const Options kBindAll{.verb = Verb::kBind, .all = true};
const Options kUnbindAll{.verb = Verb::kUnbind, .all = true};
const Options kRunAll{.verb = Verb::kRun, .all = true};
const Options kUninstall{.verb = Verb::kUninstall, .all = true};

}  // namespace

TEST_CASE("bind --all takes GPUs with their companions and leaves all else alone") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  bench.kernel.Add({.bdf = "0000:02:00.1", .class_code = 0x040300, .iommu_group = 2});
  bench.kernel.Add(
      {.bdf = "0000:03:00.0", .device = 0x22a3, .class_code = 0x068000, .iommu_group = 3});
  bench.kernel.Add({.bdf = "0000:04:00.0", .vendor = 0x8086, .iommu_group = 4});
  CHECK(bench.Run(kBindAll) == service::kDone);
  for (const char* bound : {"0000:01:00.0", "0000:02:00.0", "0000:02:00.1"}) {
    CHECK(bench.DriverOf(bound) == "vfio-pci");
  }
  CHECK(bench.DriverOf("0000:03:00.0").empty());
  CHECK(bench.DriverOf("0000:04:00.0").empty());

  bench.PublishMode("steady", "on", "0000:01:00.0");
  REQUIRE(bench.Apply(kBindAll).ok());
  CHECK(bench.DriverOf("0000:03:00.0").empty());
  bench.PublishMode("steady", "ppcie", "0000:01:00.0");
  Options without = kBindAll;
  without.nvswitches = vfio_manager::Switches::kNo;
  REQUIRE(bench.Apply(without).ok());
  CHECK(bench.DriverOf("0000:03:00.0").empty());
  REQUIRE(bench.Apply(kBindAll).ok());
  CHECK(bench.DriverOf("0000:03:00.0") == "vfio-pci");
  CHECK(bench.Run(kUnbindAll) == service::kDone);
  CHECK(bench.DriverOf("0000:03:00.0").empty());
}

TEST_CASE("one device that fails does not keep the others from being bound") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = -1});
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3});
  bench.HoldNvidia("0000:01:00.0");
  const auto outcomes = bench.Apply(kBindAll);
  REQUIRE(outcomes.ok());
  CHECK(Text((*outcomes)[0].status).find("in use by python3 (pid 9)") == 0);
  CHECK(Text((*outcomes)[1].status).find("no IOMMU group") != std::string::npos);
  CHECK((*outcomes)[2].status.ok());
  CHECK(bench.DriverOf("0000:01:00.0") == "nvidia");
  CHECK(bench.DriverOf("0000:03:00.0") == "vfio-pci");
  CHECK(bench.Run(kBindAll) == service::kFailed);
  Options compatible = kBindAll;
  compatible.compat_exit = true;
  CHECK(bench.Run(compatible) == service::kDone);
}

TEST_CASE("a module that cannot be loaded keeps only its own devices from being bound") {
  Bench bench;
  bench.root.File("/proc/sys/kernel/osrelease", "6\n");
  bench.root.File("/lib/modules/6/modules.alias",
                  "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* wrong_module\n");
  bench.kernel.Add({.bdf = "0000:01:00.0", .device = 0x2342, .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  const auto outcomes = bench.Apply(kBindAll);
  REQUIRE(outcomes.ok());
  CHECK(Text((*outcomes)[0].status).find("module wrong_module is not there") != std::string::npos);
  CHECK(bench.DriverOf("0000:01:00.0") == "nvidia");
  CHECK(bench.kernel.ReadAttribute("/sys/bus/pci/devices/0000:01:00.0/driver_override").value() ==
        "(null)");
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
}

TEST_CASE("a module's driver is bound to under the name that loading it reveals") {
  Bench bench;
  bench.root.File("/proc/sys/kernel/osrelease", "6\n");
  bench.root.File("/lib/modules/6/modules.alias",
                  "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci\n");
  bench.kernel.Add({.bdf = "0000:01:00.0", .device = 0x2342});
  bench.deps.load_module = [&](const std::string& name) {
    bench.kernel.AddModule(name, "nvgrace-gpu-vfio-pci");
    return absl::OkStatus();
  };
  CHECK(bench.Run(kBindAll) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0") == "nvgrace-gpu-vfio-pci");
}

TEST_CASE("all devices are written at the same time") {
  Bench bench;
  for (int i = 1; i <= 8; ++i) {
    bench.kernel.Add({.bdf = "0000:0" + std::to_string(i) + ":00.0", .iommu_group = i});
  }
  // Nobody goes on before all have come this far; one after the other would give up.
  std::latch all_binding(8);
  std::atomic<bool> alone = false;
  SystemClock clock;
  const TimePoint give_up = clock.Now() + std::chrono::minutes(1);
  bench.kernel.OnWrite([&](const std::string& path) {
    if (!path.ends_with("vfio-pci/bind")) return;
    all_binding.count_down();
    while (!all_binding.try_wait() && !alone) alone = clock.Now() > give_up;
  });
  CHECK(bench.Run(kBindAll) == service::kDone);
  CHECK_FALSE(alone);
}

TEST_CASE("a device that is stuck does not keep the others") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  bench.kernel.FailWrite("nvidia/unbind", absl::DeadlineExceededError("stuck"));
  const auto outcomes = bench.Apply(kBindAll);
  CHECK(absl::IsDeadlineExceeded((*outcomes)[0].status));
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
}

TEST_CASE("a dry run writes nothing, and shows all of it") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "nvidia"});
  bench.root.File("/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs", "2\n");
  bench.root.Remove("/sys/bus/pci/drivers/vfio-pci");
  Options options = kBindAll;
  options.dry_run = true;
  const auto outcomes = bench.Apply(options);
  REQUIRE(outcomes.ok());
  CHECK(bench.Run(options) == service::kFailed);
  CHECK(bench.kernel.writes().empty());
  const std::string text = vfio_manager::RenderText(*outcomes);
  CHECK(text.find("0000:01:00.0:\n  write 'vfio-pci' to ") == 0);
  CHECK(text.find("0000:02:00.0: cannot be done: has 2 virtual functions") != std::string::npos);
  const std::string json = vfio_manager::RenderJson(*outcomes);
  CHECK(json.find("\"kind\": \"vfs-enabled\"") != std::string::npos);
  CHECK(json.find("\"path\": \"/sys/bus/pci/drivers/vfio-pci/bind\"") != std::string::npos);
}

TEST_CASE("what this machine cannot do is told before anything is written") {
  Bench bench;
  bench.root.Directory("/sys/bus/pci/devices");
  CHECK(bench.Run(kBindAll) == service::kImpossible);
  CHECK(bench.Run(kUninstall) == service::kDone);
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = -1, .driver = "nvidia"});
  bench.root.File("/proc/cpuinfo", "flags : fpu hypervisor lahf_lm\n");
  const std::string text = Text(bench.Apply(kBindAll).status());
  CHECK(text.find("no IOMMU") == 0);
  CHECK(text.find("virtual machine") != std::string::npos);
  CHECK(bench.Run(kBindAll) == service::kImpossible);
  CHECK(bench.kernel.writes().empty());
}

TEST_CASE("an address or pattern that is none is wrong use, one that is not there a failure") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0"});
  CHECK(bench.Run({.verb = Verb::kBind, .devices = {"41:00.0"}}) == service::kUsage);
  CHECK(bench.Run({.verb = Verb::kBind, .all = true, .deny = {"x"}}) == service::kUsage);
  CHECK(bench.Run({.verb = Verb::kBind, .devices = {"0000:41:00.0"}}) == service::kFailed);
  CHECK(bench.kernel.writes().empty());
}

TEST_CASE("uninstalling fails in one line for a driver in use, and keeps GPUs on VFIO") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "vfio-pci"});
  bench.HoldNvidia("0000:01:00.0");
  CHECK(bench.Run(kUninstall) == service::kFailed);
  CHECK(bench.kernel.writes().empty());
  bench.root.Remove("/proc/9");
  CHECK(bench.Run(kUninstall) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0").empty());
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
  CHECK(bench.Run(kUninstall) == service::kDone);
  // The earlier driver is known across both programs.
  REQUIRE(bench.Run(kBindAll) == service::kDone);
  Options back = kUnbindAll;
  back.to = vfio::Goal::kDefault;
  CHECK(bench.Run(back) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0") == "nvidia");
}

TEST_CASE("devices in a mode change are left alone as long as cc-manager lives") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  for (const char* phase : {"withdrawing", "arming", "resetting"}) {
    const CcManager alive(bench.kernel);
    bench.PublishMode(phase, "on", "0000:01:00.0");
    const auto outcomes = bench.Apply(kBindAll);
    CHECK(Text((*outcomes)[0].status).find(phase) != std::string::npos);
    CHECK(bench.DriverOf("0000:01:00.0").empty());
    CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
  }
  {
    const CcManager alive(bench.kernel);
    bench.PublishMode("steady", "on", "0000:01:00.0");
    CHECK(vfio_manager::DevicesInModeChange(bench.kernel).empty());
  }
  bench.PublishMode("resetting", "on", "0000:01:00.0");  // and died
  CHECK(bench.Run(kBindAll) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
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

TEST_CASE("HOST_ROOT is believed only where a host is, and never before the mount") {
  fake::TempRoot mounted, given;
  const auto make_host = [](fake::TempRoot& root) {
    for (const char* part : {"/usr", "/sys/bus/pci", "/proc/self"}) root.Directory(part);
  };
  const auto host_root = [&] { return vfio_manager::HostRoot(given.path(), mounted.path()); };
  CHECK(host_root() == "/");
  make_host(given);
  CHECK(host_root() == given.path());
  make_host(mounted);
  CHECK(host_root() == mounted.path());
  CHECK(vfio_manager::HostRoot("/", mounted.path()) == "/");
  CHECK(vfio_manager::HostRoot("", mounted.path()) == "/");
}
