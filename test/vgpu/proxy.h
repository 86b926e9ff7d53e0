// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/base/unique_fd.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::vgpu {

// Serves a virtual GPU to QEMU's device x-pci-proxy-dev over one end of a socket pair, until QEMU
// closes the other. Wire format: struct MPQemuMsg of QEMU 7.2 (include/hw/remote/mpqemu-link.h).
void ServeProxy(VirtualGpu& gpu, UniqueFd socket);

}  // namespace gpuhost::vgpu
