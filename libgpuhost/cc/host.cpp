// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/host.h"

namespace gpuhost::cc {
namespace {

bool IsSet(const HostFs& host, std::string_view parameter) {
  const auto value = host.ReadAttribute(parameter);
  return value.ok() && (*value == "Y" || *value == "y" || *value == "1");
}

}  // namespace

std::string_view ToString(Tee tee) {
  switch (tee) {
    case Tee::kNone:
      return "none";
    case Tee::kSevSnp:
      return "SEV-SNP";
    case Tee::kTdx:
      return "TDX";
  }
  return "none";
}

Tee FindTee(const HostFs& host) {
  if (IsSet(host, "/sys/module/kvm_amd/parameters/sev_snp")) return Tee::kSevSnp;
  if (IsSet(host, "/sys/module/kvm_intel/parameters/tdx")) return Tee::kTdx;
  return Tee::kNone;
}

}  // namespace gpuhost::cc
