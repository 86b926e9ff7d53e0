// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc {

// The trusted execution environment in which this host can start virtual machines.
enum class Tee { kNone, kSevSnp, kTdx };
std::string_view ToString(Tee tee);

// Source: parameters `sev_snp` of kvm_amd and `tdx` of kvm_intel, which say whether KVM has
// switched it on, not merely whether the processor knows it. kNone where neither module is loaded.
Tee FindTee(const HostFs& host);

}  // namespace gpuhost::cc
