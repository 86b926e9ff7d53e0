// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/handler.h"

#include <algorithm>
#include <set>

#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr std::string_view kHandlers = ".containerd.runtimes.";
constexpr std::string_view kImages = "io.containerd.cri.v1.images";
constexpr std::string_view kPlatforms =
    "plugins.\"io.containerd.cri.v1.images\".runtime_platforms.";

// The name in a key of a handler's table; empty when it is another key.
std::string NameIn(const std::string& key, std::string_view prefix) {
  if (!key.starts_with(prefix)) return "";
  const std::string rest = key.substr(prefix.size());
  return rest.substr(0, rest.find_first_of(".["));
}

bool IsNoise(const std::string& key) { return key.starts_with("imports") || key == "version"; }

// What `dump` says at `key`; "nothing" for a message.
std::string Said(const Flat& dump, const std::string& key) {
  const auto found = dump.find(key);
  return found == dump.end() ? "nothing" : found->second;
}

}  // namespace

std::vector<std::string> NamesOf(const std::vector<Handler>& handlers) {
  std::vector<std::string> names;
  for (const Handler& handler : handlers) names.push_back(handler.name);
  return names;
}

absl::StatusOr<std::string> PluginId(int schema) {
  switch (schema) {
    case 1:
      return "cri";
    case 2:
      return "io.containerd.grpc.v1.cri";
    case 3:
    case 4:
      return "io.containerd.cri.v1.runtime";
    default:
      return Error(absl::StatusCode::kUnimplemented,
                   "containerd's configuration has version {}, and 1 to 4 are known", schema);
  }
}

std::string RenderHandlers(const std::vector<Handler>& handlers, const std::string& plugin) {
  std::string text;
  for (const Handler& handler : handlers) {
    const std::string table =
        fmt::format("plugins.{}{}{}", TomlKey(plugin), kHandlers, TomlKey(handler.name));
    text += fmt::format("[{}]\n", table);
    for (const auto& [key, value] : handler.keys) {
      text += fmt::format("{} = {}\n", TomlKey(key), value);
    }
    if (!handler.snapshotter.empty()) {
      text += fmt::format("snapshotter = {}\n", Quoted(handler.snapshotter));
    }
    if (!handler.options.empty()) text += fmt::format("[{}.options]\n", table);
    for (const auto& [key, value] : handler.options) {
      text += fmt::format("{} = {}\n", TomlKey(key), value);
    }
    if (!handler.snapshotter.empty() && plugin == "io.containerd.cri.v1.runtime") {
      text += fmt::format("[plugins.{}.runtime_platforms.{}]\nsnapshotter = {}\n", TomlKey(kImages),
                          TomlKey(handler.name), Quoted(handler.snapshotter));
    }
  }
  return text;
}

absl::StatusOr<std::string> HandlersIn(const Flat& dump) {
  constexpr std::string_view kMark = ".containerd.default_runtime_name";
  for (const auto& [key, value] : dump) {
    if (key.starts_with("plugins.") && key.ends_with(kMark)) {
      return key.substr(0, key.size() - kMark.size()) + std::string(kHandlers);
    }
  }
  return absl::NotFoundError("containerd has no CRI plugin; is it in disabled_plugins?");
}

absl::Status CheckEffect(const Flat& before, const Flat& after,
                         const std::vector<Handler>& handlers,
                         const std::vector<std::string>& ours) {
  GPUHOST_ASSIGN(const std::string prefix, HandlersIn(after));
  constexpr std::string_view kAny = "x";
  GPUHOST_ASSIGN(const Flat wanted,
                 Flatten("handlers", RenderHandlers(handlers, std::string(kAny))));
  const std::string own = fmt::format("plugins.{}{}", kAny, kHandlers);
  for (const auto& [key, value] : wanted) {
    const std::string there = prefix + key.substr(own.size());
    if (Said(after, there) == value) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "containerd would not take {} of handler {}: it has {} and not {}; is the key "
                 "spelt right, does this containerd know it?",
                 key.substr(own.size()), NameIn(key, own), Said(after, there), value);
  }
  std::set<std::string> keys;
  for (const auto& [key, value] : before) keys.insert(key);
  for (const auto& [key, value] : after) keys.insert(key);
  for (const std::string& key : keys) {
    if (Said(before, key) == Said(after, key) || IsNoise(key)) continue;
    const std::string name = NameIn(key, key.starts_with(kPlatforms) ? kPlatforms : prefix);
    if (!name.empty() && std::ranges::find(ours, name) != ours.end()) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "containerd's {} would change from {} to {}, which is not ours", key,
                 Said(before, key), Said(after, key));
  }
  return absl::OkStatus();
}

std::optional<Handler> HandlerIn(const Flat& dump, const std::string& name) {
  const auto prefix = HandlersIn(dump);
  if (!prefix.ok()) return std::nullopt;
  constexpr std::string_view kOptions = "options.";
  const std::string table = *prefix + TomlKey(name) + ".";
  Handler handler{.name = name};
  for (const auto& [key, value] : dump) {
    if (!key.starts_with(table)) continue;
    const std::string rest = key.substr(table.size());
    if (rest.ends_with(']')) return std::nullopt;  // lists are not among the defaults
    const bool is_option = rest.starts_with(kOptions);
    (is_option ? handler.options : handler.keys)[is_option ? rest.substr(kOptions.size()) : rest] =
        value;
  }
  if (handler.keys.empty()) return std::nullopt;
  return handler;
}

std::string HandlerOf(const std::string& key) {
  const size_t at = key.find(kHandlers);
  return at == std::string::npos ? "" : NameIn(key, key.substr(0, at + kHandlers.size()));
}

std::vector<std::string> NamesIn(const std::string& tables) {
  std::set<std::string> names;
  const auto flat = Flatten("tables", tables);
  for (const auto& [key, value] : flat.value_or(Flat())) {
    const std::string name = HandlerOf(key);
    if (!name.empty()) names.insert(name);
  }
  return {names.begin(), names.end()};
}

}  // namespace gpuhost::kata_manager::containerd
