// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "libgpuhost/gpu/registers.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::vgpu {

// BAR0 of a virtual GPU in the same process, until somebody else claims it: `revoked` then reads
// all ones and takes no writes.
class VgpuRegisters : public gpu::Registers {
 public:
  using Revoked = std::shared_ptr<std::atomic<bool>>;
  VgpuRegisters(VirtualGpu& gpu, gpu::Access access, Revoked revoked)
      : gpu_(gpu), access_(access), revoked_(std::move(revoked)) {}

  absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
    return *revoked_ ? 0xffffffff : gpu_.ReadBar0(offset);
  }
  absl::Status Write32(uint32_t offset, uint32_t value) override {
    if (access_ == gpu::Access::kReadOnly) {
      return absl::PermissionDeniedError("registers were opened for reading only");
    }
    if (!*revoked_) gpu_.WriteBar0(offset, value);
    return absl::OkStatus();
  }

 private:
  VirtualGpu& gpu_;
  gpu::Access access_;
  Revoked revoked_;
};

}  // namespace gpuhost::vgpu
