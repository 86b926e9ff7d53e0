// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/containerd/plan.h"

namespace gpuhost::kata_manager {

// The handler of a class whose Kata configuration is at `config_path`. Its shim is named by an
// absolute path, so that containerd's PATH does not matter. kNotFound when there is no shim.
absl::StatusOr<containerd::Handler> HandlerFor(const HostFs& host, const RuntimeClass& entry,
                                               const std::string& config_path);

// CRI-O has a directory for others' files, and needs no more than one there.
containerd::Location CrioLocation(const std::string& config);
containerd::Plan MakeCrioPlan(const containerd::Observed& observed,
                              const std::vector<containerd::Handler>& handlers);

// What a class asks for that CRI-O has no place for: the names of those keys in our configuration.
std::vector<std::string> DroppedByCrio(const RuntimeClass& entry);

// The RuntimeClass objects for `kubectl apply -f -`. They do not bear the label by which newer GPU
// Operators find and delete those of NVIDIA's kata-manager.
std::string RenderRuntimeClasses(const Config& config);

}  // namespace gpuhost::kata_manager
