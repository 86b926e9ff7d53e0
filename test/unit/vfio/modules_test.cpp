// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/modules.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;

namespace {

struct Bench {
  vfio::LoadModule Loader() {
    return [this](const std::string& name) {
      loaded.push_back(name);
      if (!brings.empty()) kernel.AddModule(name, brings);
      return answer;
    };
  }
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  std::vector<std::string> loaded;
  std::string brings;  // the driver that loading makes appear
  absl::Status answer;
};

bool Says(const absl::Status& status, const char* text) {
  return Text(status).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("a module is loaded only when its driver is missing") {
  Bench bench;
  bench.brings = "vfio-pci";
  CHECK(vfio::EnsureDriver(bench.kernel, "vfio_pci", bench.Loader()).ok());
  CHECK(vfio::EnsureDriver(bench.kernel, "vfio_pci", bench.Loader()).ok());
  CHECK(bench.loaded == std::vector<std::string>{"vfio_pci"});
}

TEST_CASE("a driver is known by what its module says, not by a guess") {
  Bench bench;
  CHECK(vfio::DriverOf(bench.kernel, "vfio_pci") == "vfio-pci");
  CHECK(vfio::DriverOf(bench.kernel, "nvgrace_gpu_vfio_pci") == "nvgrace_gpu_vfio_pci");
  bench.brings = "nvgrace-gpu-vfio-pci";
  CHECK(vfio::EnsureDriver(bench.kernel, "nvgrace_gpu_vfio_pci", bench.Loader()).ok());
  CHECK(vfio::DriverOf(bench.kernel, "nvgrace_gpu_vfio_pci") == "nvgrace-gpu-vfio-pci");
}

TEST_CASE("why a driver is missing is told") {
  Bench bench;
  bench.answer = absl::UnknownError("run /sbin/modprobe x: Module x not found");
  const auto ensure = [&] { return vfio::EnsureDriver(bench.kernel, "x", bench.Loader()); };
  CHECK(absl::IsFailedPrecondition(ensure()));
  CHECK(Says(ensure(), "Module x not found"));
  bench.root.File("/proc/sys/kernel/modules_disabled", "1\n");
  CHECK(Says(ensure(), "kernel.modules_disabled is 1"));
  bench.answer = absl::OkStatus();
  CHECK(Says(ensure(), "offers none"));
}

TEST_CASE("groups are enough, and iommufd is loaded where there are none, or on request") {
  using vfio::Backend;
  Bench bench;
  const auto ensure = [&](Backend backend) {
    bench.loaded.clear();
    return vfio::EnsureBackend(bench.kernel, backend, bench.Loader());
  };
  bench.answer = absl::UnknownError("not found");
  CHECK(absl::IsFailedPrecondition(ensure(Backend::kAuto)));
  CHECK(bench.loaded == std::vector<std::string>{"vfio_iommu_type1", "iommufd"});
  CHECK_FALSE(ensure(Backend::kGroup).ok());
  CHECK(bench.loaded == std::vector<std::string>{"vfio_iommu_type1"});
  CHECK_FALSE(ensure(Backend::kIommufd).ok());
  CHECK(bench.loaded == std::vector<std::string>{"iommufd"});
  bench.root.Directory("/sys/module/vfio_iommu_type1");
  CHECK(ensure(Backend::kAuto).ok());
  CHECK(bench.loaded.empty());
  CHECK_FALSE(ensure(Backend::kIommufd).ok());
  bench.root.Remove("/sys/module/vfio_iommu_type1");
  bench.root.Directory("/sys/module/iommufd");
  CHECK(ensure(Backend::kAuto).ok());
  CHECK_FALSE(ensure(Backend::kGroup).ok());
  CHECK(ensure(Backend::kIommufd).ok());
}

TEST_CASE("a module is there when /sys/module shows it, whatever modprobe says") {
  // modprobe of kmod 30 with "install vfio_iommu_type1 /bin/true" in modprobe.d ends with 0.
  Bench bench;
  const absl::Status status =
      vfio::EnsureBackend(bench.kernel, vfio::Backend::kAuto, bench.Loader());
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(Says(status, "vfio_iommu_type1 is not there"));
  CHECK(Says(status, "iommufd is not there"));
  CHECK(Says(status, "'install' in /etc/modprobe.d"));
}
