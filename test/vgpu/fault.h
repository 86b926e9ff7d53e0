// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

namespace gpuhost::vgpu {

// What can be wrong with a virtual GPU. Each is a switch that can be set and cleared at any time.
enum class Fault {
  kRpcSilent,       // the firmware takes requests and answers none
  kRpcError,        // answers every request with error 0x9e
  kRpcGarbage,      // answers with a header that is no response
  kRpcWrongEcho,    // answers another request than the one sent
  kRpcShort,        // answers too few words
  kRpcOversize,     // the queue's tail points outside of its window
  kResetHangs,      // a reset never ends; only in-process, the kernel's wait cannot be modelled
  kResetNoLatch,    // a reset does not take pending knobs over
  kNeverBoots,      // after a reset the firmware does not boot
  kDead,            // all ones everywhere
  kDeadAfterReset,  // all ones in BAR0 from the next reset on
  kKnobLocked,      // knobs may not be changed by the host
  kPpcieUnknown,    // firmware without knobs 44 and 45
  kRecovery,        // waits for its firmware to be flashed
  kSlowBoot,        // needs four times as long to boot
  kAsleepD3hot,     // its power state is D3hot from now on
  kNoFlr,           // no function-level reset in its capabilities
  kStaleQueue,      // the queues look as if somebody died over a request
};

// Names as in the enum, "rpc-silent"; kInvalidArgument lists them.
absl::StatusOr<Fault> ParseFault(std::string_view name);

}  // namespace gpuhost::vgpu
