// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "daemons/sandbox-device-plugin/naming.h"
#include "daemons/sandbox-device-plugin/partition.h"

namespace gpuhost::sandbox_device_plugin {

struct ConfigFile {
  NamingConfig naming;
  Partitions partitions;
};

// Reads a file like
//   {"resources": [{"name": "big", "devices": ["2335"], "addresses": ["0000:41:00.0"]}],
//    "exclude": ["0000:61:00.0"], "names": {"3182": "GB110 [B300]"},
//    "partitions": [["0000:41:00.0", "0000:42:00.0"]]}
// kInvalidArgument names what is wrong; what is not known here is wrong too.
absl::StatusOr<ConfigFile> ParseConfigFile(const std::string& text);

}  // namespace gpuhost::sandbox_device_plugin
