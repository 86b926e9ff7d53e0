// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/execute.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;

namespace {

constexpr const char* kBdf = "0000:41:00.0";

struct Bench {
  explicit Bench(const std::string& driver, int group = 42) {
    kernel.Add({.bdf = kBdf, .iommu_group = group, .driver = driver});
  }
  pci::Device Read() { return *pci::ReadDevice(kernel, *pci::Bdf::Parse(kBdf)); }
  absl::Status Bind() {
    const pci::Device device = Read();
    return vfio::Execute(kernel, clock, device, *vfio::PlanBind(device, "vfio-pci", ""));
  }
  bool Wrote() const { return !kernel.writes().empty(); }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
};

}  // namespace

TEST_CASE("a device goes from its driver to vfio-pci and stays awake there") {
  Bench bench("nvidia");
  REQUIRE(bench.Bind().ok());
  const pci::Device after = bench.Read();
  CHECK(after.driver == "vfio-pci");
  CHECK(after.driver_override == "vfio-pci");
  CHECK(after.power_control == "on");
}

TEST_CASE("a second bind writes nothing") {
  Bench bench("");
  REQUIRE(bench.Bind().ok());
  const size_t writes = bench.kernel.writes().size();
  REQUIRE(bench.Bind().ok());
  CHECK(bench.kernel.writes().size() == writes);
}

TEST_CASE("unbinding leaves no driver and no override") {
  Bench bench("vfio-pci");
  const pci::Device device = bench.Read();
  REQUIRE(vfio::Execute(bench.kernel, bench.clock, device, *vfio::PlanUnbind(device, "")).ok());
  CHECK_FALSE(bench.Read().driver);
  CHECK(bench.Read().driver_override == "");
}

TEST_CASE("a bind that fails gives the device back to its driver") {
  Bench bench("nvidia");
  bench.kernel.FailWrite("vfio-pci/bind", absl::FailedPreconditionError("busy"));
  const absl::Status status = bench.Bind();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(Text(status).find("given back to nvidia") != std::string::npos);
  CHECK(bench.Read().driver == "nvidia");
  CHECK(bench.Read().driver_override == "");
}

TEST_CASE("an unbind that fails changes nothing but says so") {
  Bench bench("nvidia");
  bench.kernel.FailWrite("nvidia/unbind", absl::FailedPreconditionError("busy"));
  const absl::Status status = bench.Bind();
  CHECK(Text(status).find("given back as it was") != std::string::npos);
  CHECK(bench.Read().driver == "nvidia");
  CHECK(bench.Read().driver_override == "");
}

TEST_CASE("a driver that is not there is found out before the first write") {
  Bench bench("nvidia");
  const pci::Device device = bench.Read();
  const auto steps = vfio::PlanBind(device, "no-such-driver", "");
  const absl::Status status = vfio::Execute(bench.kernel, bench.clock, device, *steps);
  CHECK(absl::IsNotFound(status));
  CHECK(Text(status).find("nothing changed") == 0);
  CHECK_FALSE(bench.Wrote());
}

TEST_CASE("a write that never returns leaves the device alone") {
  Bench bench("nvidia");
  bench.kernel.FailWrite("nvidia/unbind", absl::DeadlineExceededError("stuck"));
  CHECK(absl::IsDeadlineExceeded(bench.Bind()));
  CHECK(bench.kernel.writes().size() == 2);  // override and unbind, nothing after
}

TEST_CASE("a kernel that says yes and does nothing is caught") {
  Bench bench("");
  const pci::Device device = bench.Read();
  const auto steps = *vfio::PlanBind(device, "vfio-pci", "");
  bench.kernel.OnWrite([&](const std::string& path) {
    // Somebody else takes the device right after our bind.
    if (path.ends_with("power/control")) return;
    if (path.ends_with("/bind")) bench.root.Remove("/sys/bus/pci/devices/0000:41:00.0/iommu_group");
  });
  const absl::Status status = vfio::Execute(bench.kernel, bench.clock, device, steps);
  CHECK_FALSE(status.ok());
  CHECK_FALSE(bench.Read().driver);
  CHECK(bench.Read().driver_override == "");
}
