// SPDX-License-Identifier: Apache-2.0
//
// What the GPU Operator's sandbox validator does for one component, with the same status files and
// the same life of them. Source: NVIDIA gpu-operator 25.10 and 26.7, cmd/nvidia-validator.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <string>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::node_validator {

struct ComponentOptions {
  std::string component;
  std::string node_name;
  std::string directory = "/run/nvidia/validations";  // of status files
  std::string default_workload;                       // empty or unknown: vm-passthrough
  bool wait = false;                                  // for cc-manager, without end
  bool cleanup = false;
  Duration interval = std::chrono::seconds(5);
};

// What the component asks the world for.
struct ComponentWorld {
  HostFs& node;  // /sys
  HostFs& own;   // status files
  Clock& clock;
  std::function<absl::StatusOr<std::map<std::string, std::string>>()> labels;  // of the node
  std::function<void(const std::string&)> tell;                                // a line for the log
};

// cc-manager: cc-manager-ready is removed first, and written when the node is not labelled
// nvidia.com/cc.capable=true, or once .cc-manager-ctr-ready is there. kNotFound when it is not, and
// is not waited for.
// vfio-pci: workload-type is written. For vm-passthrough vfio-pci-ready is removed, and written
// when all GPUs are on VFIO; kFailedPrecondition names one that is not, without any waiting.
// vgpu-manager, vgpu-devices: workload-type is written; kUnimplemented for vm-vgpu.
// kInvalidArgument for other components and for a missing node name. Errors of the API server and
// of the directory as they are.
absl::Status ValidateComponent(ComponentWorld& world, const ComponentOptions& options);

}  // namespace gpuhost::node_validator
