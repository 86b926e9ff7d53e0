// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/host.h"

#include <catch2/catch.hpp>

#include "test/fake/temp_root.h"

using namespace gpuhost;

TEST_CASE("a host is confidential once KVM says so") {
  fake::TempRoot root;
  const HostFs host(root.path());
  CHECK(cc::FindTee(host) == cc::Tee::kNone);
  root.File("/sys/module/kvm_intel/parameters/tdx", "N\n");
  CHECK(cc::FindTee(host) == cc::Tee::kNone);
  root.File("/sys/module/kvm_intel/parameters/tdx", "Y\n");
  CHECK(cc::FindTee(host) == cc::Tee::kTdx);
  root.File("/sys/module/kvm_amd/parameters/sev_snp", "1\n");
  CHECK(cc::FindTee(host) == cc::Tee::kSevSnp);
}
