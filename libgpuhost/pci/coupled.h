// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

// A GPU that is coupled to its CPU by NVLink-C2C and has its memory in common with it (GH200,
// GB200, GB300, and those of Rubin). The memory is no BAR: plain vfio-pci hands out registers
// alone, so that a guest cannot use the GPU; only a driver that knows the board
// (nvgrace_gpu_vfio_pci) hands out all of it. Boards of one id with and without such a CPU are told
// by their subsystem. Source: the board list of gpu-admin-tools; Linux,
// drivers/vfio/pci/nvgrace-gpu/main.c.
bool IsCoupled(const Device& device);

}  // namespace gpuhost::pci
