// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/bundle/capture.h"
#include "daemons/node-validator/report/report.h"

namespace gpuhost::node_validator {

// Texts besides the tree, by name ("logs/gpuhost.log").
using Extras = std::map<std::string, std::string>;

// Writes everything a maintainer needs into one archive: the report, the captured tree, by which
// `node-validator --host-root` says the same anywhere, a list of what was left out, and `extras`
// without what looks like a secret.
absl::Status WriteBundle(const std::string& path, const Report& report, const CapturedTree& tree,
                         const Extras& extras);

}  // namespace gpuhost::node_validator
