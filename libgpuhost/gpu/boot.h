// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/registers.h"
#include "libgpuhost/pci/config_space.h"

namespace gpuhost::gpu {

// Blackwell closes BAR0 by a firewall until its firmware has booted. Touching BAR0 before has been
// seen to drop the device off the bus, so configuration space is asked first.
enum class Bar0State {
  kOpen,
  kClosed,
  kUnknown,  // the extended configuration space cannot be seen (virtual machine, no CAP_SYS_ADMIN)
};
absl::StatusOr<Bar0State> LookAtBar0(const pci::ConfigSpace& config, const Layout& layout);

// Waits until BAR0 may be touched: for layout.boot_limit at most, then kDeadlineExceeded. Where
// that cannot be seen, for as long as the firewall takes: the device may have been reset just now,
// also by somebody else.
absl::Status WaitForBar0(const pci::ConfigSpace& config, const Layout& layout, Clock& clock);

// Where the state of a device is read from while it boots.
struct BootView {
  Registers& registers;
  const Layout& layout;
  pci::ConfigSpace config;
  bool coupled = false;  // see IsCoupled
};

// Reads PMC_BOOT_0 and the recovery flag. kUnavailable when the device does not answer (all ones),
// kDataLoss when it answers with a fault pattern (0xbadf....), kFailedPrecondition when it waits
// for a firmware recovery. Reads only.
absl::Status CheckAlive(const BootView& view);

// True once the firmware has booted; the mode register means nothing before. Reads only.
absl::StatusOr<bool> HasBooted(const BootView& view);

// Waits for HasBooted, for layout.boot_limit at most (then kDeadlineExceeded with the firmware's
// status words), then CheckAlive; of a coupled GPU also the link to its CPU must be up
// (kFailedPrecondition).
absl::Status WaitForBoot(const BootView& view, Clock& clock);

// The security faults that the device shows in configuration space: " (0x00000810, FSP DCLS, IFF
// ECC)". Empty when there are none or they cannot be seen. Reads only.
std::string DescribeFaults(const pci::ConfigSpace& config, const Layout& layout);

}  // namespace gpuhost::gpu
