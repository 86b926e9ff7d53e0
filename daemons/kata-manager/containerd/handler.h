// SPDX-License-Identifier: Apache-2.0
//
// Handlers of containerd's CRI plugin: what the field runtimeClassName of a pod leads to.
// Source: containerd, docs/cri/config.md, and `containerd config dump` of 1.6, 1.7 and 2.2.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemons/kata-manager/toml.h"

namespace gpuhost::kata_manager::containerd {

struct Handler {
  std::string name;
  std::map<std::string, std::string> keys, options;  // values as TOML writes them
  std::string snapshotter;                           // empty: containerd's own choice

  bool operator==(const Handler&) const = default;
};

std::vector<std::string> NamesOf(const std::vector<Handler>& handlers);

// The id of the plugin in a file of this schema. kUnimplemented for one that is not known.
absl::StatusOr<std::string> PluginId(int schema);

// The tables of the handlers under this plugin.
std::string RenderHandlers(const std::vector<Handler>& handlers, const std::string& plugin);

// Where the handlers' tables are in what `containerd config dump` says: the prefix of their keys.
// kNotFound when its CRI plugin is not there.
absl::StatusOr<std::string> HandlersIn(const Flat& dump);

// Compares what containerd made of its files before and after. OK when all `handlers` are there as
// wanted, and nothing else has changed but handlers of `ours` (those wanted now or before).
// kFailedPrecondition names what is not so: a key that containerd does not know, or a setting or
// handler that would change.
absl::Status CheckEffect(const Flat& before, const Flat& after,
                         const std::vector<Handler>& handlers,
                         const std::vector<std::string>& ours);

// The handler `name` as containerd has it, with all that it has by default; empty when it has none.
std::optional<Handler> HandlerIn(const Flat& dump, const std::string& name);

// The name of the handler to which a key of a document belongs; empty: to none.
std::string HandlerOf(const std::string& key);

// The names of the handlers that have tables in this document.
std::vector<std::string> NamesIn(const std::string& tables);

}  // namespace gpuhost::kata_manager::containerd
