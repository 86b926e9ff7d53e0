// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::kata_manager {

// Files of ours that somebody else changes. Each is put right again three times within an hour;
// then it is given up, for two programs that undo each other's work restart the container runtime
// for ever. What is known here goes with the process, or by Forget.
class Drift {
 public:
  using Bytes = std::optional<std::string>;  // of a file; empty: there is none

  explicit Drift(Clock& clock) : clock_(&clock) {}

  // Whether the file, which has these bytes now, may be written. kAborted: it is given up.
  absl::Status Check(const std::string& path, const Bytes& now);
  // The file was written. That was a repair when `before` is not what was there after the last
  // call of Wrote or Seen.
  void Wrote(const std::string& path, const Bytes& before, const Bytes& after);
  // The file was found as it should be.
  void Seen(const std::string& path, const Bytes& now) { left_[path] = now; }
  // Somebody wants it tried again, or something else.
  void Forget();

  // Those that were given up.
  const std::set<std::string>& given_up() const { return given_up_; }
  // The files repaired since the last call, one for each time.
  std::vector<std::string> TakeRepaired();

 private:
  bool IsChanged(const std::string& path, const Bytes& now) const;

  Clock* clock_;
  std::map<std::string, Bytes> left_;
  std::map<std::string, std::vector<TimePoint>> repairs_;
  std::set<std::string> given_up_;
  std::vector<std::string> repaired_;
};

}  // namespace gpuhost::kata_manager
