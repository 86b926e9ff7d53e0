// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/bdf.h"

#include <catch2/catch.hpp>

using gpuhost::pci::Bdf;

TEST_CASE("an address prints as it was parsed") {
  for (const char* text : {"0000:01:00.0", "0000:ff:1f.7", "ffff:41:00.1", "10000:e1:00.0"}) {
    CAPTURE(text);
    const auto bdf = Bdf::Parse(text);
    REQUIRE(bdf.ok());
    CHECK(bdf->ToString() == text);
  }
}

TEST_CASE("anything else is refused") {
  for (const char* text :
       {"", "01:00.0", "0000:01:00", "0000:01:00.8", "0000:01:20.0", "0000:01:00.0 ",
        "0000:01:00.0\n", "0000-01:00.0", "0000:0g:00.0", "00000:01:00.0", "0000:41:00.A",
        "0000:4A:00.0", "123456789:01:00.0", "../../../etc", "0000:01:00.00"}) {
    CAPTURE(text);
    CHECK(absl::IsInvalidArgument(Bdf::Parse(text).status()));
  }
}

TEST_CASE("addresses sort by number") {
  CHECK(*Bdf::Parse("0000:09:00.0") < *Bdf::Parse("0000:10:00.0"));
  CHECK(*Bdf::Parse("ffff:00:00.0") < *Bdf::Parse("10000:00:00.0"));
}
