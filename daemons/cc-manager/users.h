// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemons/cc-manager/hardware.h"
#include "daemons/common/kube/pod.h"
#include "daemons/common/service/status_document.h"

namespace gpuhost::cc_manager {

// Who has GPUs of this node, as far as we may know.
struct Users {
  // "in use by pod default/llm; 0000:41:00.0: in use by qemu-system-x86 (pid 4711)"; empty: nobody
  std::string text;
  std::vector<kube::Pod> pods;  // those that the API server told of
};

// Puts together what the three say who can know: the processes that have devices open, the plugin
// (whom the kubelet gave them), the API server (`pods` of the node, where we may list them). Pods
// that have ended and operands of the GPU Operator are no users, nor are processes whose device is
// in the wanted mode already. A pure function.
Users FindUsers(std::span<const DeviceView> devices,
                const std::optional<service::StatusDocument>& plugin,
                std::span<const kube::Pod> pods);

}  // namespace gpuhost::cc_manager
