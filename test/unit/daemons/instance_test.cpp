// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/instance.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/other_process.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

TEST_CASE("one instance of a daemon per node, and its death is seen") {
  fake::TempRoot root;
  HostFs fs(root.path());
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  fake::OtherProcess other(fs, "cc-manager");
  CHECK(service::IsAlive(fs, "cc-manager"));
  CHECK_FALSE(service::IsAlive(fs, "vfio-manager"));
  const auto refused = service::Instance::Claim(fs, "cc-manager");
  CHECK(absl::IsFailedPrecondition(refused.status()));
  CHECK(Text(refused.status()).find("another cc-manager runs") != std::string::npos);
  other.Kill();
  CHECK_FALSE(service::IsAlive(fs, "cc-manager"));
  CHECK(service::Instance::Claim(fs, "cc-manager").ok());
}
