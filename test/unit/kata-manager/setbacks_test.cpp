// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/setbacks.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

TEST_CASE("a full disk is tried again later and later; a broken artefact never") {
  fake::FakeClock clock;
  Setbacks setbacks(clock);
  const RuntimeClass entry{.name = "kata-x"};
  Config config;
  const auto check = [&] { return setbacks.Check(entry, config, "sha256:a"); };
  const auto tell = [&](const absl::Status& status, bool for_good) {
    setbacks.Tell(entry, config, "sha256:a", status, for_good);
  };
  CHECK(check().ok());
  tell(absl::ResourceExhaustedError("the disk is full"), false);
  CHECK(absl::IsResourceExhausted(check()));
  CHECK_THAT(Text(check()), Contains("the disk is full; it is tried again after a while"));
  clock.SleepFor(std::chrono::minutes(5));
  CHECK(check().ok());
  tell(absl::ResourceExhaustedError("the disk is full"), false);
  clock.SleepFor(std::chrono::minutes(9));
  CHECK_FALSE(check().ok());
  clock.SleepFor(std::chrono::minutes(1));
  CHECK(check().ok());
  tell(absl::CancelledError("about to end"), false);
  CHECK(check().ok());

  tell(absl::DataLossError("a bad link"), true);
  clock.SleepFor(std::chrono::hours(1000));
  CHECK(absl::IsDataLoss(check()));
  CHECK(setbacks.Check(entry, config, "sha256:b").ok());  // something else
  config.artifacts_dir = "/elsewhere";
  CHECK(check().ok());
  config.artifacts_dir.clear();
  tell(absl::OkStatus(), true);
  CHECK(check().ok());
}
