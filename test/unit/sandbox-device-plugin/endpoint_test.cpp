// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/endpoint.h"

#include <catch2/catch.hpp>

using namespace gpuhost::sandbox_device_plugin;

TEST_CASE("a socket is named after its resource and the start of its server") {
  CHECK(*EndpointName("/var/lib/kubelet/device-plugins", "pgpu", 0x1234) ==
        "sandbox-pgpu-00001234.sock");
}

TEST_CASE("the path of a socket never has more than 107 bytes") {
  const std::string usual = "/var/lib/kubelet/device-plugins";
  const std::string a(63, 'A'), b(63, 'B');
  const auto name = EndpointName(usual, a, 1);
  REQUIRE(name.ok());
  CHECK(usual.size() + 1 + name->size() <= 107);
  CHECK(*name != *EndpointName(usual, b, 1));

  const std::string fits(107 - 31, 'd'), too_long(107 - 30, 'd');
  CHECK(EndpointName(fits, a, 1).ok());
  CHECK(absl::IsInvalidArgument(EndpointName(too_long, a, 1).status()));
}
