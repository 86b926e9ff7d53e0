// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/bar0.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <thread>

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

// Linux 6.1 with CONFIG_IO_STRICT_DEVMEM revokes mappings of resource0 when vfio-pci claims BAR0. A
// file that has become shorter answers an access in the same way: SIGBUS.
TEST_CASE("a mapping that is taken away reads as all ones, on all threads, and swallows writes") {
  Window window;
  const auto registers = window.Open(gpu::Access::kReadWrite);
  const auto other = window.Open(gpu::Access::kReadOnly);
  REQUIRE((*registers)->Read32(8).value() == 0x12345678);
  const std::string path = window.machine.root.path() + window.path;
  std::filesystem::resize_file(path, 0);
  std::atomic<int> dead = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (uint32_t offset = 0; offset < 4096; offset += 4) {
          const bool written = (*registers)->Write32(offset, 0).ok();
          const bool ones = (*registers)->Read32(offset).value_or(0) == 0xffffffff &&
                            (*other)->Read32(offset).value_or(0) == 0xffffffff;
          if (written && ones) ++dead;
        }
      });
    }
  }
  CHECK(dead == 8 * 1024);
  CHECK(window.machine.root.Content(window.path).empty());
  std::filesystem::resize_file(path, 4096);  // what is there again is read again
  CHECK((*registers)->Read32(8).value() == 0);
}

TEST_CASE("a bus error that is none of a register's still ends the process") {
  Window window;
  const auto registers = window.Open(gpu::Access::kReadOnly);
  REQUIRE(registers.ok());
  const std::string path = window.machine.root.path() + window.path;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    ::close(STDERR_FILENO);  // a sanitizer has much to say
    const UniqueFd fd(::open(path.c_str(), O_RDONLY));
    const void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
    std::filesystem::resize_file(path, 0);
    static_cast<void>(*static_cast<const volatile char*>(page));
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status != 0);  // of the signal, or of the sanitizer that has caught it
}
