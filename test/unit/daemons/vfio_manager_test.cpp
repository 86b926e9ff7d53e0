// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/vfio-manager/manager.h"
#include "daemons/vfio-manager/run.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;
using vfio_manager::Options;
using vfio_manager::Verb;

namespace {

struct Bench {
  absl::StatusOr<std::vector<vfio_manager::DeviceOutcome>> Apply(const Options& options) {
    return vfio_manager::Apply(deps, options);
  }
  std::string DriverOf(const std::string& bdf) const {
    return kernel.LinkName("/sys/bus/pci/devices/" + bdf + "/driver").value_or("");
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  vfio_manager::Deps deps{kernel, clock,
                          [](const std::string&) { return absl::UnknownError("no module"); }};
};

const Options kBindAll{.verb = Verb::kBind, .all = true};
const Options kUnbindAll{.verb = Verb::kUnbind, .all = true};

}  // namespace

TEST_CASE("bind --all takes GPUs and leaves switches, audio and other vendors alone") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2});
  bench.kernel.Add({.bdf = "0000:03:00.0", .device = 0x22a3, .class_code = 0x068000});
  bench.kernel.Add({.bdf = "0000:02:00.1", .class_code = 0x040300, .iommu_group = 2});
  bench.kernel.Add({.bdf = "0000:04:00.0", .vendor = 0x8086});
  const auto outcomes = bench.Apply(kBindAll);
  REQUIRE(outcomes.ok());
  CHECK(outcomes->size() == 2);
  CHECK(bench.DriverOf("0000:01:00.0") == "vfio-pci");
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
  for (const char* other : {"0000:03:00.0", "0000:02:00.1", "0000:04:00.0"}) {
    CHECK(bench.DriverOf(other).empty());
  }
  Options with_switches = kBindAll;
  with_switches.nvswitches = true;
  REQUIRE(bench.Apply(with_switches).ok());
  CHECK(bench.DriverOf("0000:03:00.0") == "vfio-pci");
}

TEST_CASE("one device that fails does not keep the others from being bound") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "nvidia"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = -1});
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3});
  bench.root.File("/proc/driver/nvidia/gpus/0000:01:00.0/information", "Device Minor: 0\n");
  bench.root.File("/proc/9/comm", "python3\n");
  bench.root.Link("/proc/9/fd/4", "/dev/nvidia0");
  const auto outcomes = bench.Apply(kBindAll);
  REQUIRE(outcomes.ok());
  CHECK(Text((*outcomes)[0].status).find("in use by python3 (pid 9)") == 0);
  CHECK(Text((*outcomes)[1].status).find("no IOMMU group") != std::string::npos);
  CHECK((*outcomes)[2].status.ok());
  CHECK(bench.DriverOf("0000:01:00.0") == "nvidia");
  CHECK(bench.DriverOf("0000:03:00.0") == "vfio-pci");
  CHECK(vfio_manager::RunOnce(bench.deps, kBindAll) == service::kFailed);
}

TEST_CASE("a dry run writes nothing") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .driver = "nvidia"});
  Options options = kBindAll;
  options.dry_run = true;
  const auto outcomes = bench.Apply(options);
  REQUIRE(outcomes.ok());
  CHECK((*outcomes)[0].steps.size() == 4);
  CHECK(bench.kernel.writes().empty());
}

TEST_CASE("what this machine cannot do is told before anything is written") {
  Bench bench;
  bench.root.Directory("/sys/bus/pci/devices");
  CHECK(absl::IsNotFound(bench.Apply(kBindAll).status()));
  CHECK(vfio_manager::RunOnce(bench.deps, kBindAll) == service::kImpossible);
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = -1, .driver = "nvidia"});
  const absl::Status no_iommu = bench.Apply(kBindAll).status();
  CHECK(Text(no_iommu).find("no IOMMU") == 0);
  CHECK(vfio_manager::RunOnce(bench.deps, kBindAll) == service::kImpossible);

  Bench other;
  other.kernel.Add({.bdf = "0000:01:00.0", .driver = "nvidia"});
  other.root.Remove("/sys/bus/pci/drivers/vfio-pci");
  CHECK(Text(other.Apply(kBindAll).status()).find("driver vfio-pci is not there") == 0);
  CHECK(other.kernel.writes().empty());
}

TEST_CASE("an address that is none, not there or no GPU is refused") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .vendor = 0x8086});
  const auto bind = [&](const std::string& address) {
    return bench.Apply({.verb = Verb::kBind, .devices = {address}}).status();
  };
  CHECK(absl::IsInvalidArgument(bind("41:00.0")));
  CHECK(absl::IsNotFound(bind("0000:41:00.0")));
  CHECK(absl::IsFailedPrecondition(bind("0000:01:00.0")));
  CHECK(bench.kernel.writes().empty());
}

TEST_CASE("unbind takes idle devices from vfio-pci and no others") {
  Bench bench;
  bench.kernel.Add({.bdf = "0000:01:00.0", .iommu_group = 1, .driver = "vfio-pci"});
  bench.kernel.Add({.bdf = "0000:02:00.0", .iommu_group = 2, .driver = "vfio-pci"});
  bench.kernel.Add({.bdf = "0000:03:00.0", .iommu_group = 3, .driver = "nvidia"});
  bench.root.File("/proc/9/comm", "qemu\n");
  bench.root.Link("/proc/9/fd/4", "/dev/vfio/2");
  const auto outcomes = bench.Apply(kUnbindAll);
  REQUIRE(outcomes.ok());
  CHECK(bench.DriverOf("0000:01:00.0").empty());
  CHECK(bench.DriverOf("0000:02:00.0") == "vfio-pci");
  CHECK(bench.DriverOf("0000:03:00.0") == "nvidia");
  CHECK(absl::IsFailedPrecondition((*outcomes)[1].status));
}
