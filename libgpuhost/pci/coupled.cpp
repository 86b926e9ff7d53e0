// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/coupled.h"

#include <algorithm>
#include <array>

namespace gpuhost::pci {
namespace {

// Subsystem 0 stands for all of that id.
struct Coupled {
  uint16_t device, subsystem;
};
constexpr auto kCoupled = std::to_array<Coupled>({{0x2342, 0},
                                                  {0x2343, 0},
                                                  {0x2345, 0},
                                                  {0x2348, 0},
                                                  {0x2941, 0},
                                                  {0x297e, 0},
                                                  {0x29bc, 0x2045},
                                                  {0x3041, 0},
                                                  {0x307e, 0},
                                                  {0x30ff, 0},
                                                  {0x31a1, 0},
                                                  {0x31c2, 0x21f1},
                                                  {0x31c3, 0}});

}  // namespace

bool IsCoupled(const Device& device) {
  return device.kind() == Kind::kGpu && std::ranges::any_of(kCoupled, [&](const Coupled& part) {
           return part.device == device.device &&
                  (part.subsystem == 0 || part.subsystem == device.subsystem_device);
         });
}

}  // namespace gpuhost::pci
