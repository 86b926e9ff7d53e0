// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::node {

// The ends of a running node that are ours.
struct Ports {
  int out, err, status;  // virtio ports
  int qemu;              // readable when QEMU has ended
  int stop;              // readable when we shall stop
};

struct Ending {
  enum class Kind { kEnded, kTimedOut, kStopped } kind;
  std::optional<int> status;  // what the command returned; empty: it never came to its end
};

// Copies the node's output to stdout and stderr until QEMU ends, `limit` is over or we are stopped.
Ending Stream(const Ports& ports, Clock& clock, Duration limit);

}  // namespace gpuhost::node
