// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// What this program must still know after a crash: <artifactsDir>/state.json.
struct State {
  bool restart_due = false;  // containerd's files are newer than what it runs with
  // What the files of the last change had in them when one was about to be made or taken back; a
  // restart is due only if it came to that. Empty: none is under way.
  std::string pending;
  int64_t begun = 0;                        // when that was
  int64_t changed = 0;                      // when they were changed, seconds since 1970
  std::vector<int64_t> restarts;            // when containerd was restarted by us, the newest last
  std::string refused;                      // digest of a change that was taken back
  std::map<std::string, std::string> held;  // by class: what was rolled back, and so not taken

  bool operator==(const State&) const = default;
};

// A file that is not there is an empty state; kDataLoss names one that cannot be read as such.
absl::StatusOr<State> ReadState(const HostFs& fs, const std::string& artifacts_dir);
// Writes nothing when the file says it already.
absl::Status WriteState(HostFs& fs, const std::string& artifacts_dir, const State& state);

}  // namespace gpuhost::kata_manager
