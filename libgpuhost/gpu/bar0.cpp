// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/bar0.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/mapped.h"

namespace gpuhost::gpu {
namespace {

constexpr size_t kMaxWindow = 32u << 20;  // NVSwitches use 32 MiB, GPUs 16 MiB
constexpr uint32_t kAllOnes = 0xffffffff;

class Bar0 : public Registers {
 public:
  Bar0(void* base, size_t size, bool writable)
      : base_(static_cast<volatile uint32_t*>(base)), size_(size), writable_(writable) {}
  ~Bar0() override { ::munmap(const_cast<uint32_t*>(base_), size_); }
  Bar0(const Bar0&) = delete;
  Bar0& operator=(const Bar0&) = delete;

  absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
    GPUHOST_TRY(Check(offset));
    uint32_t value = 0;
    return ReadMapped(base_ + offset / 4, value) ? value : kAllOnes;
  }

  absl::Status Write32(uint32_t offset, uint32_t value) override {
    GPUHOST_TRY(Check(offset));
    if (!writable_) {
      return Error(absl::StatusCode::kPermissionDenied,
                   "write BAR0 {:#x}: registers were opened for reading only", offset);
    }
    WriteMapped(base_ + offset / 4, value);  // else it is lost, as that to a device off the bus
    return absl::OkStatus();
  }

 private:
  absl::Status Check(uint32_t offset) const {
    if (offset % 4 == 0 && offset < size_) return absl::OkStatus();
    return Error(absl::StatusCode::kOutOfRange, "access BAR0 {:#x}: outside of {:#x} bytes", offset,
                 size_);
  }

  volatile uint32_t* base_;
  size_t size_;
  bool writable_;
};

// Source: man page kernel_lockdown(7). The file reads "none [integrity] confidentiality".
absl::Status ExplainRefusal(const HostFs& fs, const absl::Status& status) {
  const std::string lockdown = fs.ReadAttribute("/sys/kernel/security/lockdown").value_or("");
  for (const char* level : {"integrity", "confidentiality"}) {
    if (lockdown.find(fmt::format("[{}]", level)) == std::string::npos) continue;
    return Error(status.code(),
                 "{}; the kernel is locked down ({}), which forbids BAR0 to programs; switch off "
                 "Secure Boot or the kernel option lockdown=",
                 Text(status), level);
  }
  return Error(status.code(),
               "{}; the kernel does not allow it, by lockdown (Secure Boot, lockdown=) or another "
               "security module: its log tells",
               Text(status));
}

absl::Status ExplainFailure(const HostFs& fs, const pci::Device& device, int error,
                            const std::string& path) {
  absl::Status status = ErrnoStatus(error, fmt::format("map {}", path));
  // The kernel (CONFIG_IO_STRICT_DEVMEM) keeps registers for the driver that has reserved them, as
  // vfio-pci does while a virtual machine runs.
  if (error == EINVAL) {
    status = Error(absl::StatusCode::kUnavailable, "{}; its registers are reserved by who uses it",
                   Text(status));
  } else if (error == EPERM) {
    status = ExplainRefusal(fs, status);
  }
  if (device.driver != "nvidia") return status;
  return Error(status.code(),
               "{}; `nvidia-smi conf-compute -f` tells the mode of a GPU on NVIDIA's driver",
               Text(status));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Registers>> Bar0Source::Open(const pci::Device& device,
                                                            Access access) {
  const bool writable = access == Access::kReadWrite;
  const std::string path = device.SysfsPath("resource0");
  GPUHOST_ASSIGN(const UniqueFd fd, fs_.Open(path, (writable ? O_RDWR : O_RDONLY) | O_SYNC));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  const size_t size = std::min(static_cast<size_t>(info.st_size), kMaxWindow);
  void* base =
      ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) {
    return ExplainFailure(fs_, device, errno, path);
  }
  CatchBusErrors();
  return std::make_unique<Bar0>(base, size, writable);
}

}  // namespace gpuhost::gpu
