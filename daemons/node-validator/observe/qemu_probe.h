// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/tree.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::node_validator {

// Starts the QEMU at `program` without any machine, asks for its version over QMP on its standard
// input and output, and lets it quit: "9.1.0". Runs where this process runs; `tree` is that of
// the same root.
//   kNotFound            it is not there, or its interpreter or a library is not
//   kFailedPrecondition  the kernel does not execute it
//   kDeadlineExceeded    it did not quit within `limit` of real time, and was ended
//   kDataLoss            what it says is no QMP
//   kUnknown             it failed; the text has the end of what it complained of
// Source: QEMU, docs/interop/qmp-spec.rst.
absl::StatusOr<std::string> ProbeQemu(const Tree& tree, const std::string& program, Duration limit);

}  // namespace gpuhost::node_validator
