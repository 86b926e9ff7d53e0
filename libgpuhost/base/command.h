// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost {

// A program of somebody else's, run where this process runs.
struct Command {
  std::string path;  // absolute
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value", and nothing else
  size_t longest_output = 1 << 20;       // bytes
  // What it may read, at most kLongestInput bytes; the end of it does not come while it runs.
  std::string input = {};  // empty: it has none, and reads the end at once
  static constexpr size_t kLongestInput = 4096;
};

// Runs it in a session of its own, so that it cannot ask anybody; what it printed to its standard
// output. Nothing of it is left running when this returns.
//   kNotFound            no such program, or none that could interpret it
//   kPermissionDenied    it may not be run
//   kFailedPrecondition  the kernel executes no such file: ENOEXEC
//   kInvalidArgument     more input than kLongestInput
//   kDeadlineExceeded    not done within `limit` of real time
//   kResourceExhausted   it printed more than longest_output
//   kUnknown             its exit status was not 0; the text has the end of its standard error
absl::StatusOr<std::string> OutputOf(Duration limit, const Command& command);

}  // namespace gpuhost
