// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "daemons/gpuhostctl/status.h"

namespace gpuhost::gpuhostctl {

// What a workload's owner has to set so that its guest proves CPU and GPU to Trustee at `kbs_url`
// before it gets secrets, and whether this node's devices can take part. Source: Confidential
// Containers documentation, "Attestation"; NVIDIA's deployment guide for confidential containers.
std::string RenderAttestation(std::span<const Row> rows, const std::string& kbs_url);
// {"schema": 1, "kbs_url", "pod_annotation": {...}, "init_data", "trustee", "able": [bdf...]}
std::string RenderAttestationJson(std::span<const Row> rows, const std::string& kbs_url);

}  // namespace gpuhost::gpuhostctl
