// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <latch>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/status_document.h"
#include "daemons/vfio-manager/host_root.h"
#include "daemons/vfio-manager/mode_change.h"
#include "daemons/vfio-manager/render.h"
#include "daemons/vfio-manager/run.h"
#include "libgpuhost/base/status.h"
#include "test/unit/daemons/vfio_manager_bench.h"

using namespace gpuhost;
using namespace gpuhost::vfio_manager;

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

TEST_CASE("all devices are written at the same time, and bound in the order of addresses") {
  Bench bench;
  for (int i = 1; i <= 8; ++i) {
    bench.kernel.Add(
        {.bdf = "0000:0" + std::to_string(i) + ":00.0", .iommu_group = i, .driver = "nvidia"});
  }
  // Nobody goes on before all have come this far; one after the other would give up.
  std::latch all_unbinding(8);
  std::atomic<bool> alone = false;
  SystemClock clock;
  const TimePoint give_up = clock.Now() + std::chrono::minutes(1);
  bench.kernel.OnWrite([&](const std::string& path) {
    if (!path.ends_with("nvidia/unbind")) return;
    all_unbinding.count_down();
    while (!all_unbinding.try_wait() && !alone) alone = clock.Now() > give_up;
  });
  CHECK(bench.Run(kBindAll) == service::kDone);
  CHECK_FALSE(alone);
  // The kernel gives vfioN to whom is bound first.
  std::vector<std::string> bound;
  for (const std::string& write : bench.kernel.writes()) {
    if (write.find("vfio-pci/bind := ") != std::string::npos) bound.push_back(write);
  }
  CHECK(bound.size() == 8);
  CHECK(std::ranges::is_sorted(bound));
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

TEST_CASE("a change of mode that begins after the plan is noticed under the lock") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  const auto request = MakeRequest(bench.kernel, kBindAll);
  const CcManager alive(bench.kernel);
  bench.PublishMode("arming", "on", "0000:01:00.0");
  const auto outcomes = vfio_manager::Apply(bench.deps, *request, {}, false);
  CHECK(Text((*outcomes)[0].status).find("cc-manager is arming") != std::string::npos);
  CHECK(bench.kernel.writes().empty());
}

TEST_CASE("what cc-manager says nobody may be given is bound, and given back to no driver") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  REQUIRE(service::Publish(bench.kernel,
                           {.daemon = "cc-manager",
                            .phase = "failed",
                            .devices = {{.bdf = "0000:01:00.0", .unusable = "it is armed"}}})
              .ok());
  CHECK(bench.Run(kBindAll) == service::kDone);
  Options back = kUnbindAll;
  back.to = vfio::Goal::kDefault;
  const auto outcomes = bench.Apply(back);
  CHECK(Text((*outcomes)[0].status).find("says cc-manager: it is armed") != std::string::npos);
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
  CHECK(bench.Run(kUnbindAll) == service::kDone);
}

TEST_CASE("what a module's option ids= took when we loaded it is ours") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1});
  bench.root.Remove("/sys/bus/pci/drivers/vfio-pci");
  bench.deps.load_module = [&](const std::string&) {
    bench.kernel.AddDriver("vfio-pci");
    bench.root.Link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci");
    return absl::OkStatus();
  };
  CHECK(bench.Run(kBindAll) == service::kDone);
  CHECK(bench.Run(kUnbindAll) == service::kDone);
  CHECK(bench.DriverOf("0000:01:00.0").empty());
  CHECK(bench.kernel.ReadAttribute("/sys/bus/pci/devices/0000:01:00.0/d3cold_allowed").value() ==
        "1");
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
