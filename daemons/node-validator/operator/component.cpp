// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/operator/component.h"

#include <algorithm>
#include <array>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::node_validator {
namespace {

constexpr auto kWorkloads =
    std::to_array<std::string_view>({"container", "vm-passthrough", "vm-vgpu"});
constexpr const char* kManagerReady = "/run/nvidia/validations/.cc-manager-ctr-ready";

bool IsWorkload(const std::string& text) { return std::ranges::count(kWorkloads, text) > 0; }

class Component {
 public:
  Component(ComponentWorld& world, const ComponentOptions& options)
      : world_(world), options_(options) {}

  absl::Status Validate() {
    if (options_.cleanup) GPUHOST_TRY(Clean());
    GPUHOST_TRY(world_.own.MakeDirectories(options_.directory));
    if (options_.component == "cc-manager") return Manager();
    if (options_.component == "vfio-pci") return Vfio();
    return Vgpu();
  }

 private:
  std::string File(std::string_view name) const {
    return fmt::format("{}/{}", options_.directory, name);
  }

  absl::Status Write(std::string_view name, std::string_view text) {
    return world_.own.WriteFileAtomic(File(name), text, 0644);
  }

  absl::Status Clean() {
    const auto names = world_.own.List(options_.directory);
    if (absl::IsNotFound(names.status())) return absl::OkStatus();
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) GPUHOST_TRY(world_.own.Remove(File(name)));
    return absl::OkStatus();
  }

  absl::Status Manager() {
    GPUHOST_TRY(world_.own.Remove(File("cc-manager-ready")));
    GPUHOST_ASSIGN(const auto labels, world_.labels());
    const auto capable = labels.find("nvidia.com/cc.capable");
    if (capable == labels.end() || capable->second != "true") {
      world_.tell(
          "the node is not labelled nvidia.com/cc.capable=true, cc-manager is not waited for");
      return Write("cc-manager-ready", "");
    }
    while (!world_.own.Exists(kManagerReady)) {
      if (!options_.wait) {
        return Error(absl::StatusCode::kNotFound,
                     "{} is not there: cc-manager has not finished its first pass", kManagerReady);
      }
      world_.tell(fmt::format("waiting for cc-manager: {} is not there", kManagerReady));
      world_.clock.SleepFor(options_.interval);
    }
    return Write("cc-manager-ready", "");
  }

  // The kind of work that the node is for; left in a file for the device plugins.
  absl::StatusOr<std::string> WorkloadOfNode() {
    GPUHOST_ASSIGN(const auto labels, world_.labels());
    std::string workload =
        IsWorkload(options_.default_workload) ? options_.default_workload : "vm-passthrough";
    const auto label = labels.find("nvidia.com/gpu.workload.config");
    if (label != labels.end()) {
      if (IsWorkload(label->second)) {
        workload = label->second;
      } else {
        world_.tell(
            fmt::format("label nvidia.com/gpu.workload.config is '{}', which is none of "
                        "container, vm-passthrough, vm-vgpu; {} is taken",
                        label->second, workload));
      }
    }
    GPUHOST_TRY(Write("workload-type", workload + "\n"));
    return workload;
  }

  absl::Status Vfio() {
    GPUHOST_ASSIGN(const std::string workload, WorkloadOfNode());
    if (workload != "vm-passthrough") {
      world_.tell(fmt::format("the node is for {}, VFIO is not needed", workload));
      return absl::OkStatus();
    }
    GPUHOST_TRY(world_.own.Remove(File("vfio-pci-ready")));
    GPUHOST_ASSIGN(const auto devices, pci::ScanNvidia(world_.node));
    for (const pci::Device& device : devices) {
      if (device.kind() != pci::Kind::kGpu || device.is_virtual_function) continue;
      if (device.BoundToVfio()) continue;
      return Error(
          absl::StatusCode::kFailedPrecondition,
          "{} is not on VFIO but has {}; run vfio-manage bind --all, or look at the pod of "
          "vfio-manager",
          device.bdf, device.driver ? "driver " + *device.driver : "no driver");
    }
    return Write("vfio-pci-ready", "");
  }

  absl::Status Vgpu() {
    GPUHOST_ASSIGN(const std::string workload, WorkloadOfNode());
    if (workload != "vm-vgpu") {
      world_.tell(fmt::format("the node is for {}, there are no vGPUs", workload));
      return absl::OkStatus();
    }
    return Error(
        absl::StatusCode::kUnimplemented,
        "the node is labelled for vGPUs, which gpuhost does not know; use NVIDIA's validator "
        "there");
  }

  ComponentWorld& world_;
  const ComponentOptions& options_;
};

}  // namespace

absl::Status ValidateComponent(ComponentWorld& world, const ComponentOptions& options) {
  constexpr auto kKnown =
      std::to_array<std::string_view>({"cc-manager", "vfio-pci", "vgpu-manager", "vgpu-devices"});
  if (std::ranges::count(kKnown, options.component) == 0) {
    return Error(
        absl::StatusCode::kInvalidArgument,
        "component '{}' is none of cc-manager, vfio-pci, vgpu-manager, vgpu-devices, which a "
        "node for virtual machines has",
        options.component);
  }
  if (options.node_name.empty()) {
    return absl::InvalidArgumentError("the node's name is missing; set $NODE_NAME or --node-name");
  }
  return Component(world, options).Validate();
}

}  // namespace gpuhost::node_validator
