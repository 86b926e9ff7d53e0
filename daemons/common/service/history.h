// SPDX-License-Identifier: Apache-2.0
//
// The last changes of mode, for a person who asks what has happened on this node since it booted:
// /run/nvidia/gpuhost/cc-manager-changes.json, the newest kKeptChanges, written by cc-manager
// alone.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::service {

inline constexpr size_t kKeptChanges = 32;

struct ChangeRecord {
  int64_t ended = 0;       // seconds since 1970
  std::string transition;  // its name in logs and status documents
  std::string from, to;    // modes; "" unknown
  std::string error;       // empty: all devices are in the mode
  uint64_t devices = 0;
  // In seconds: from the wish to the end, and of these in the hardware.
  double total = 0, open = 0, arm = 0, reset = 0;

  bool operator==(const ChangeRecord&) const = default;
};

// Adds one. What is there and cannot be read begins anew.
absl::Status Remember(HostFs& fs, const ChangeRecord& change);

// Oldest first; none when nothing has been recorded. kDataLoss when the file is not such a record.
absl::StatusOr<std::vector<ChangeRecord>> ReadChanges(const HostFs& fs);

}  // namespace gpuhost::service
