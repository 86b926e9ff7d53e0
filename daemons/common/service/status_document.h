// SPDX-License-Identifier: Apache-2.0
//
// What a daemon knows, for the other daemons and for gpuhostctl: one JSON file per daemon,
// /run/nvidia/gpuhost/<daemon>.json, replaced atomically by its only writer. The schema is in
// docs/architecture.md.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::service {

// Where the documents are.
inline constexpr std::string_view kStatusDirectory = "/run/nvidia/gpuhost";

struct DeviceStatus {
  std::string bdf;
  std::string state;      // cc-manager: effective mode; vfio-manager: driver; plugin: "offered",
                          // "withheld"; "" unknown
  std::string pending;    // cc-manager: mode that the next reset brings; "" unknown
  std::string error;      // empty: all well; else cause and remedy
  bool withdraw = false;  // cc-manager: nobody may be given this device now
  // cc-manager: why nobody may be given this device, in every phase and also when cc-manager has
  // died since: it is armed, or failed, or its mode is not known. "" it may be used.
  std::string unusable;
  // plugin: "namespace/pod/container" it is allocated to; nullopt: unknown, the kubelet has not
  // told
  std::optional<std::vector<std::string>> users;
  std::string unit;  // plugin: "nvidia.com/pgpu=7", as the kubelet and CDI name it

  bool operator==(const DeviceStatus&) const = default;
};

struct StatusDocument {
  std::string daemon;       // "cc-manager"
  uint64_t generation = 0;  // grows with every publication
  std::string phase;        // see docs/architecture.md
  std::string target;       // cc-manager: wanted mode
  // cc-manager: name of the change under way, "" when there is none. Plugin: the name of the change
  // of cc-manager whose withdrawals it has carried out.
  std::string transition;
  std::string reason;  // why it is in this phase, where that needs a word
  std::vector<DeviceStatus> devices;

  bool operator==(const StatusDocument&) const = default;
};

// Writes the document of `document.daemon` with the generation after the one found there.
absl::Status Publish(HostFs& fs, StatusDocument document);

// kNotFound when the daemon never published; kDataLoss when the file is not such a document.
absl::StatusOr<StatusDocument> ReadStatusDocument(const HostFs& fs, std::string_view daemon);

}  // namespace gpuhost::service
