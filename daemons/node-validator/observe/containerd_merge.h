// SPDX-License-Identifier: Apache-2.0
//
// What containerd makes of its configuration files. Pure.
// Source: containerd, cmd/containerd/server/config (1.7, 2.1, 2.3) and docs/cri/config.md.
#pragma once

#include <string>
#include <vector>

#include "daemons/node-validator/observe/value.h"

namespace gpuhost::node_validator {

struct ConfigFile {
  std::string path;
  Value content;
};

struct Version {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};
// The first "N.N.N" in a text; 0.0.0 where there is none.
Version FindVersion(const std::string& text);
std::string ToString(const Version& version);

// The schema in which a configuration is written: what `version` says at its root, or where it says
// nothing, 1; without any file the newest that this containerd knows.
int SchemaOf(const Value& root);
int NewestSchema(const Version& containerd);

// The files, in the order in which containerd reads them, as one. 1.x replaces a plugin's section
// as a whole; 2.x puts them together key by key.
Value MergeFiles(const std::vector<ConfigFile>& files, const Version& containerd);

// The table of runtime handlers in a merged configuration of that schema.
std::vector<std::string_view> RuntimesPath(int schema);

}  // namespace gpuhost::node_validator
