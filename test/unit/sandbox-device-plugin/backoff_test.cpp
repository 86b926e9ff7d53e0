// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/backoff.h"

#include <catch2/catch.hpp>

using gpuhost::Duration;
using gpuhost::sandbox_device_plugin::Backoff;

namespace {

bool Near(Duration wait, Duration middle) {
  return wait * 5 >= middle * 4 && wait * 5 <= middle * 6;
}

}  // namespace

TEST_CASE("waits double from 50 ms up to 5 s, and begin anew when told to") {
  Backoff backoff;
  for (Duration middle = Backoff::kFirst; middle < Backoff::kLongest; middle *= 2) {
    CHECK(Near(backoff.Next(), middle));
  }
  for (int i = 0; i < 100; ++i) CHECK(Near(backoff.Next(), Backoff::kLongest));
  backoff.Reset();
  CHECK(Near(backoff.Next(), Backoff::kFirst));
}
