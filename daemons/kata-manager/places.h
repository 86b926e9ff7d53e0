// SPDX-License-Identifier: Apache-2.0
//
// Which directories have artefacts and records of ours. The configuration may name another one at
// any time, and what is in the former must be found all the same: the list is at a place that it
// cannot change.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

inline constexpr const char* kPlaces = "/var/lib/gpuhost/kata-manager.places.json";

// The newest last; none where nothing was ever written. kDataLoss names a list that cannot be read.
absl::StatusOr<std::vector<std::string>> ReadPlaces(const HostFs& fs);

// Call it before anything is written below `directory`. A directory that is new has the records of
// the one before it copied: what was done to containerd, and how often.
absl::Status EnterPlace(HostFs& fs, const std::string& directory);
// When nothing of ours is below it any more.
absl::Status LeavePlace(HostFs& fs, const std::string& directory);

// Whether this program has ever changed files of the container runtime, by the records in any of
// those directories or in `directory`. Also where that cannot be told.
bool HasChangedRuntime(const HostFs& fs, const std::string& directory);

// Whether this program has something on this node, by those lists or in `directory`. Also where
// that cannot be told.
bool HasRecords(const HostFs& fs, const std::string& directory);

}  // namespace gpuhost::kata_manager
