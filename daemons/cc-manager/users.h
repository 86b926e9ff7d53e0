// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

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
  // that is known
  std::string text;
  // Why there may be others, and what to do; empty: there are none.
  std::string unknown;
  std::vector<kube::Pod> pods;  // those that the API server told of
};

// What our plugin has published; nothing: none lives here; an error: it cannot be read.
using PluginWord = std::optional<absl::StatusOr<service::StatusDocument>>;

// Puts together what the three say who can know: the processes that have devices open, the plugin
// (whom the kubelet gave them), the API server (`pods` of the node, none where we may not list
// them). No users are pods that have ended, operands of the GPU Operator, and whoever has a device
// that is in the wanted mode already. A pure function.
Users FindUsers(std::span<const DeviceView> devices, const PluginWord& plugin,
                const absl::StatusOr<std::vector<kube::Pod>>& pods);

}  // namespace gpuhost::cc_manager
