// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/gpu/registers.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::vgpu {

// BAR0 of a virtual GPU in the same process.
class VgpuRegisters : public gpu::Registers {
 public:
  VgpuRegisters(VirtualGpu& gpu, gpu::Access access) : gpu_(gpu), access_(access) {}

  absl::StatusOr<uint32_t> Read32(uint32_t offset) override { return gpu_.ReadBar0(offset); }
  absl::Status Write32(uint32_t offset, uint32_t value) override {
    if (access_ == gpu::Access::kReadOnly) {
      return absl::PermissionDeniedError("registers were opened for reading only");
    }
    gpu_.WriteBar0(offset, value);
    return absl::OkStatus();
  }

 private:
  VirtualGpu& gpu_;
  gpu::Access access_;
};

}  // namespace gpuhost::vgpu
