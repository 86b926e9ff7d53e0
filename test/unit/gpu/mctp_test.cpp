// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/mctp.h"

#include <array>
#include <catch2/catch.hpp>

using namespace gpuhost::gpu;

TEST_CASE("a knob write is framed as the firmware wants it") {
  const std::array<uint32_t, 2> write_cc_mode{0x0008020d, 1};
  CHECK(EncodeRequest(kNvdmPrc, write_cc_mode) ==
        std::vector<uint32_t>{0xc0000000, 0x1310de7e, 0x0008020d, 0x00000001});
}

TEST_CASE("an answer is taken apart") {
  const std::array<uint32_t, 6> packet{0xc0000000, 0x1510de7e, 77, 0x13, 0x1e3, 42};
  const auto response = DecodeResponse(kNvdmPrc, packet);
  REQUIRE(response.ok());
  CHECK(response->error == 0x1e3);
  CHECK(response->payload == std::vector<uint32_t>{42});
}

TEST_CASE("an answer that is none is refused") {
  const std::array<uint32_t, 5> good{0xc0000000, 0x1510de7e, 0, 0x13, 0};
  REQUIRE(DecodeResponse(kNvdmPrc, good).ok());
  for (size_t words = 0; words < good.size(); ++words) {
    CHECK(absl::IsDataLoss(DecodeResponse(kNvdmPrc, std::span(good).first(words)).status()));
  }
  const auto broken = [&](size_t index, uint32_t value) {
    auto packet = good;
    packet[index] = value;
    return absl::IsDataLoss(DecodeResponse(kNvdmPrc, packet).status());
  };
  CHECK(broken(0, 0x80000000));  // first part of several
  CHECK(broken(0, 0x40000000));
  CHECK(broken(1, 0x1310de7e));  // a request
  CHECK(broken(1, 0x1510ae7e));  // another vendor
  CHECK(broken(3, 0x14));        // the answer to something else
}
