// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/plan.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"

using namespace gpuhost;
using vfio::Action;

namespace {

pci::Device Gpu() {
  return {.bdf = *pci::Bdf::Parse("0000:41:00.0"),
          .vendor = pci::kNvidia,
          .device = 0x2331,
          .class_code = 0x030200,
          .iommu_group = 42,
          .power_control = "on",
          .driver_override = ""};
}

std::vector<Action> Actions(const absl::StatusOr<std::vector<vfio::Step>>& steps) {
  std::vector<Action> actions;
  for (const vfio::Step& step : steps.value()) actions.push_back(step.action);
  return actions;
}

}  // namespace

TEST_CASE("binding sets the override before it takes the device from another driver") {
  pci::Device gpu = Gpu();
  gpu.driver = "nvidia";
  const auto steps = vfio::PlanBind(gpu, "vfio-pci", "");
  CHECK(Actions(steps) == std::vector<Action>{Action::kSetOverride, Action::kUnbind, Action::kBind,
                                              Action::kStayAwake});
  CHECK(ToString((*steps)[0]) ==
        "write 'vfio-pci' to /sys/bus/pci/devices/0000:41:00.0/driver_override");
  CHECK(ToString((*steps)[1]) == "write '0000:41:00.0' to /sys/bus/pci/drivers/nvidia/unbind");
  CHECK(ToString((*steps)[2]) == "write '0000:41:00.0' to /sys/bus/pci/drivers/vfio-pci/bind");
}

TEST_CASE("a device without driver needs no unbind, a bound one nothing") {
  pci::Device gpu = Gpu();
  CHECK(Actions(vfio::PlanBind(gpu, "vfio-pci", "")) ==
        std::vector<Action>{Action::kSetOverride, Action::kBind, Action::kStayAwake});
  gpu.driver = "vfio-pci";
  gpu.driver_override = "vfio-pci";
  CHECK(Actions(vfio::PlanBind(gpu, "vfio-pci", "qemu (pid 1)")).empty());
  gpu.power_control = "auto";
  CHECK(Actions(vfio::PlanBind(gpu, "vfio-pci", "")) == std::vector<Action>{Action::kStayAwake});
}

TEST_CASE("what stands in the way is named with its remedy") {
  const auto refusal = [](const pci::Device& gpu, const std::string& user = "") {
    const auto steps = vfio::PlanBind(gpu, "vfio-pci", user);
    CHECK(absl::IsFailedPrecondition(steps.status()));
    return Text(steps.status());
  };
  pci::Device gpu = Gpu();
  gpu.iommu_group.reset();
  CHECK(refusal(gpu).find("iommu=on") != std::string::npos);
  gpu = Gpu();
  gpu.driver_override.reset();
  CHECK(refusal(gpu).find("driver_override") != std::string::npos);
  gpu = Gpu();
  gpu.vendor = 0x8086;
  CHECK(refusal(gpu).find("NVIDIA") != std::string::npos);
  gpu = Gpu();
  gpu.driver = "nvidia";
  CHECK(refusal(gpu, "python3 (pid 9)").find("python3 (pid 9)") != std::string::npos);
}

TEST_CASE("only a VFIO driver's idle device is unbound") {
  pci::Device gpu = Gpu();
  CHECK(vfio::PlanUnbind(gpu, "")->empty());
  gpu.driver = "nvidia";
  CHECK(vfio::PlanUnbind(gpu, "")->empty());
  gpu.driver = "nvgrace_gpu_vfio_pci";
  const auto steps = vfio::PlanUnbind(gpu, "");
  CHECK(Actions(steps) == std::vector<Action>{Action::kClearOverride, Action::kUnbind});
  CHECK((*steps)[1].Path() == "/sys/bus/pci/drivers/nvgrace_gpu_vfio_pci/unbind");
  CHECK(absl::IsFailedPrecondition(vfio::PlanUnbind(gpu, "qemu (pid 1)").status()));
}
