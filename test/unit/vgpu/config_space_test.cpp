// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/config_space.h"

#include <catch2/catch.hpp>

using namespace gpuhost::vgpu;

namespace {

constexpr uint32_t kCommand = 0x04, kBar0 = 0x10, kPmcsr = 0x44, kDeviceControl = 0x68;

ConfigSpace H100() { return ConfigSpace(*FindBoard("h100-pcie")); }

}  // namespace

TEST_CASE("configuration space names the board") {
  for (const auto name : BoardNames()) {
    const Board& board = *FindBoard(name);
    const ConfigSpace config(board);
    CHECK(config.Read(0, 4) == (uint32_t{board.device} << 16 | 0x10de));
    CHECK(config.Read(0x2e, 2) == board.subsystem);
    CHECK(config.Read(0x09, 2) == (board.class_code & 0xffff));
    CHECK(config.Read(0x0b, 1) == board.class_code >> 16);
  }
  CHECK(FindBoard("h100") == nullptr);
}

TEST_CASE("its capability list ends and holds power management and PCI Express") {
  const ConfigSpace config = H100();
  std::vector<uint32_t> ids;
  for (uint32_t at = config.Read(0x34, 1); at != 0 && ids.size() < 48;
       at = config.Read(at + 1, 1)) {
    ids.push_back(config.Read(at, 1));
  }
  CHECK(ids == std::vector<uint32_t>{0x01, 0x10});
}

TEST_CASE("sizing a BAR reads back its size mask") {
  ConfigSpace config = H100();
  config.Write(kBar0, 4, 0xffffffff);
  CHECK(config.bar(0) == 0xff000000);
  config.Write(kBar0, 4, 0xfd123456);
  CHECK(config.bar(0) == 0xfd000000);
}

TEST_CASE("identity is read-only, accesses beyond the end do nothing") {
  ConfigSpace config = H100();
  config.Write(0, 4, 0);
  CHECK(config.Read(0, 2) == 0x10de);
  config.Write(0xffe, 4, 0xffffffff);
  CHECK(config.Read(0xffe, 4) == 0);
  CHECK(config.Read(0x10000, 4) == 0);
}

TEST_CASE("only the FLR bit starts a reset, and only where FLR is offered") {
  ConfigSpace config = H100();
  CHECK_FALSE(config.Write(kDeviceControl, 2, 0x2810));
  CHECK(config.Write(kDeviceControl, 2, 0xa810));
  CHECK(config.Read(kDeviceControl, 2) == 0x2810);  // the bit reads as 0
  CHECK(config.Write(kDeviceControl + 1, 1, 0x80));
  CHECK_FALSE(config.Write(kDeviceControl, 1, 0x80));  // bit 7 of the lower byte is another
  config.OfferFlr(false);
  CHECK_FALSE(config.Write(kDeviceControl, 2, 0x8000));
}

TEST_CASE("a reset of the bus forgets BARs, COMMAND and sleep") {
  ConfigSpace config = H100();
  config.Write(kBar0, 4, 0xfd000000);
  config.Write(kCommand, 2, 0x0006);
  config.Write(kPmcsr, 2, 3);
  CHECK(config.DecodesMemory());
  CHECK_FALSE(config.InD0());
  config.Reset();
  CHECK(config.bar(0) == 0);
  CHECK_FALSE(config.DecodesMemory());
  CHECK(config.InD0());
}
