// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/parse.h"

#include <catch2/catch.hpp>

using namespace gpuhost;

TEST_CASE("numbers are the whole text or nothing") {
  CHECK(ParseDecimal("0") == 0u);
  CHECK(ParseDecimal("4294967295") == 4294967295u);
  for (const char* bad :
       {"", "-1", "+1", " 1", "1 ", "1\n", "0x1", "one", "18446744073709551616"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseDecimal(bad));
  }
  CHECK(ParseHex("10DE") == 0x10deu);
  CHECK_FALSE(ParseHex("0x10de"));
  CHECK(ParsePrefixedHex("0x10de") == 0x10deu);
  for (const char* bad : {"10de", "0x", "0X10de", "0x-1", "0x1g"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParsePrefixedHex(bad));
  }
}

TEST_CASE("a limit is inclusive") {
  CHECK(ParseHex("ff", 0xff) == 0xffu);
  CHECK_FALSE(ParseHex("100", 0xff));
}
