// SPDX-License-Identifier: Apache-2.0
//
// What a daemon knows, for the other daemons and for gpuhostctl: one JSON file per daemon,
// /run/nvidia/gpuhost/<daemon>.json, replaced atomically by its only writer. The schema is in
// docs/architecture.md.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::service {

struct DeviceStatus {
  std::string bdf;
  std::string state;    // vfio-manager: driver; cc-manager: effective mode; "" unknown
  std::string pending;  // cc-manager: mode that the next reset brings; "" unknown
  std::string error;    // empty: all well; else cause and remedy
};

struct StatusDocument {
  std::string daemon;       // "cc-manager"
  uint64_t generation = 0;  // grows with every publication
  std::string phase;        // cc-manager: "steady", "arming", "resetting", "verifying", "failed"
  std::string target;       // cc-manager: wanted mode
  std::vector<DeviceStatus> devices;
};

// Writes the document of `document.daemon` with the generation after the one found there.
absl::Status Publish(HostFs& fs, StatusDocument document);

// kNotFound when the daemon never published; kDataLoss when the file is not such a document.
absl::StatusOr<StatusDocument> ReadStatusDocument(const HostFs& fs, std::string_view daemon);

}  // namespace gpuhost::service
