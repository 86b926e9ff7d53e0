// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/bar0.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;

namespace {

// A plain file of one page takes the place of the BAR.
struct Window {
  Window() {
    std::string content(4096, '\0');
    content.replace(8, 4, "\x78\x56\x34\x12");
    machine.root.File(path, content);
  }
  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(gpu::Access access) {
    return gpu::Bar0Source(machine.kernel).Open(machine.DeviceOf(0), access);
  }
  fake::Machine machine;
  std::string path = "/sys/bus/pci/devices/0000:01:00.0/resource0";
};

}  // namespace

TEST_CASE("registers are little-endian words of the mapped file") {
  Window window;
  const auto registers = window.Open(gpu::Access::kReadWrite);
  REQUIRE(registers.ok());
  CHECK((*registers)->Read32(8).value() == 0x12345678);
  REQUIRE((*registers)->Write32(12, 0xcafe0001).ok());
  CHECK(window.machine.root.Content(window.path).substr(12, 4) ==
        std::string("\x01\x00\xfe\xca", 4));
}

TEST_CASE("accesses outside of the window or unaligned are refused") {
  Window window;
  const auto registers = window.Open(gpu::Access::kReadWrite);
  REQUIRE(registers.ok());
  CHECK((*registers)->Read32(4092).ok());
  CHECK(absl::IsOutOfRange((*registers)->Read32(4096).status()));
  CHECK(absl::IsOutOfRange((*registers)->Read32(2).status()));
  CHECK(absl::IsOutOfRange((*registers)->Write32(0xfffffffc, 0)));
}

TEST_CASE("what was opened for reading cannot be written") {
  Window window;
  const auto registers = window.Open(gpu::Access::kReadOnly);
  REQUIRE(registers.ok());
  CHECK(absl::IsPermissionDenied((*registers)->Write32(8, 0)));
  CHECK((*registers)->Read32(8).value() == 0x12345678);
}

TEST_CASE("a device without BAR0, or with an empty one, is an error that names the file") {
  Window window;
  window.machine.root.File(window.path, "");
  CHECK(Text(window.Open(gpu::Access::kReadOnly).status()).find(window.path) != std::string::npos);
  window.machine.root.Remove(window.path);
  CHECK(absl::IsNotFound(window.Open(gpu::Access::kReadOnly).status()));
}

TEST_CASE("registers that cannot be mapped under NVIDIA's driver: its own tool is named") {
  Window window;
  window.machine.root.File(window.path, "");  // EINVAL, as for registers that are reserved
  pci::Device device = window.machine.DeviceOf(0);
  device.driver = "nvidia";
  const auto refused =
      gpu::Bar0Source(window.machine.kernel).Open(device, gpu::Access::kReadOnly).status();
  CHECK(absl::IsUnavailable(refused));
  CHECK(Text(refused).find("reserved by who uses it; `nvidia-smi conf-compute -f`") !=
        std::string::npos);
}
