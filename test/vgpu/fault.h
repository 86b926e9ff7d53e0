// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <string_view>
#include <vector>

namespace gpuhost::vgpu {

// What can be wrong with a virtual GPU. Each is a switch that can be set and cleared at any time.
// "Reset" is a function-level one or one of the whole bus.
enum class Fault {
  kRpcSilent,       // the firmware hangs: a request stays in its queue
  kRpcError,        // answers every request with error 0x9e
  kRpcGarbage,      // answers with a header that is no response
  kRpcWrongEcho,    // answers another request than the one sent
  kRpcShort,        // answers too few words
  kRpcOversize,     // the queue's tail points outside of its window
  kResetHangs,      // a reset never ends: from then on all ones, also in configuration space
  kResetNoLatch,    // a reset does not take pending knobs over
  kNeverBoots,      // after a reset the firmware does not boot
  kDead,            // off the bus: all ones in BAR0 and configuration space
  kDeadAfterReset,  // all ones in BAR0 after a reset; configuration space answers
  kDeadOnce,        // the same after the first reset only: the next one brings it back
  kSecurityFault,   // after a reset answers 0xbadf0200, with bits 4 and 11 in the fault word
  kFirewallStuck,   // after a reset BAR0 stays closed (chips with a firewall)
  kLinkDown,        // the link to its CPU does not come up (coupled chips)
  kKnobLocked,      // every permission knob reads 0, every write is refused with error 0x9e
  kPpcieUnknown,    // old firmware: error 0x1e3 for knobs 44 and 45
  kRecovery,        // waits for its firmware to be flashed
  kSlowBoot,        // needs four times as long to boot
  kAsleepD3hot,     // put into D3hot now; software can wake it
  kNoFlr,           // offers no function-level reset
  kStaleQueue,      // somebody has just died: one answer is not fetched, another one will come
  kStaleError,      // the answer box shows an error until its next answer (chips with a mailbox)
  kLateAnswer,      // answers come six seconds after their request was taken
  kModeFault,       // the mode register answers 0xbadf5620, on Hopper protected PCIe if believed
  kFaultAfterWake,  // answers 0xbadf1001 to everything once it has been in D3hot
  kDriverBound,     // a driver holds the GPU: error 0x202 for every request
  kReplaced,        // after a reset another chip answers
  kConfigLost,      // all ones in configuration space alone
  kSlowReset,       // the kernel needs 100 seconds for a reset: it tries the bus in the end
};

using HasFault = std::function<bool(Fault)>;

std::vector<std::string_view> FaultNames();
// Names as in the enum, "rpc-silent"; kInvalidArgument lists them.
absl::StatusOr<Fault> ParseFault(std::string_view name);

}  // namespace gpuhost::vgpu
