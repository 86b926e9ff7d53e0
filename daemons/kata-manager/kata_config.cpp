// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/kata_config.h"

#include <algorithm>

#include "daemons/kata-manager/change.h"
#include "daemons/kata-manager/digest.h"
#include "daemons/kata-manager/names.h"
#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr std::string_view kHeader =
    "# Written by gpuhost's kata-manager; the file beside config.d is the vendor's.\n";

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// How many of their last parts two paths have in common.
int Likeness(const std::string& one, const std::string& other) {
  int parts = 0;
  for (size_t i = 1; i <= std::min(one.size(), other.size()); ++i) {
    const char a = one[one.size() - i], b = other[other.size() - i];
    if (a != b) return parts;
    const bool one_ends = i == one.size() || one[one.size() - i - 1] == '/';
    const bool other_ends = i == other.size() || other[other.size() - i - 1] == '/';
    if (a != '/' && one_ends && other_ends) ++parts;
  }
  return parts;
}

// The file that takes the place of the vendor's `path`.
absl::StatusOr<std::string> FileFor(const std::string& path, const std::string& key,
                                    const std::vector<std::string>& files) {
  const std::string name = BaseName(path);
  int best = 0;
  std::vector<std::string> found;
  for (const std::string& file : files) {
    const int likeness = BaseName(file) == name ? Likeness(file, path) : 0;
    if (likeness == 0 || likeness < best) continue;
    if (likeness > best) found.clear();
    best = likeness;
    found.push_back(file);
  }
  if (const auto top = std::ranges::find(found, name); top != found.end()) return *top;
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    constexpr size_t kShown = 20;
    const size_t shown = std::min(files.size(), kShown);
    return Error(absl::StatusCode::kFailedPrecondition,
                 "its configuration names {} as {}, and that is not among its files ({}{})", name,
                 key, fmt::join(files.begin(), files.begin() + static_cast<ptrdiff_t>(shown), ", "),
                 shown < files.size() ? ", ..." : "");
  }
  return Error(absl::StatusCode::kFailedPrecondition,
               "its configuration names {} as {}, and {} of its files are called so ({})", name,
               key, found.size(), fmt::join(found, ", "));
}

Put Bytes(std::string bytes) {
  return [bytes = std::move(bytes)](const Tree& tree, const std::string& name) {
    return tree.Write(name, bytes, 0644);
  };
}

}  // namespace

absl::StatusOr<std::string> RenderOverride(
    const std::string& vendor,
    const std::map<std::string, std::map<std::string, std::string>>& kata,
    const std::vector<std::string>& files, const std::string& directory) {
  auto tables = kata;
  GPUHOST_ASSIGN(const Flat flat, Flatten("configuration.toml", vendor));
  for (const auto& [key, value] : flat) {
    const size_t dot = key.rfind('.');
    const std::string table = key.substr(0, dot), name = key.substr(dot + 1);
    const bool is_file = name == "kernel" || name == "image" || name == "initrd";
    if (!key.starts_with("hypervisor.") || !is_file || files.empty() || value == "\"\"") continue;
    GPUHOST_ASSIGN(const std::string file, FileFor(value.substr(1, value.size() - 2), key, files));
    tables[table].try_emplace(name, Quoted(directory + "/" + file));
  }
  std::string text(kHeader);
  for (const auto& [table, keys] : tables) {
    text += fmt::format("[{}]\n", table);
    for (const auto& [name, value] : keys) text += fmt::format("{} = {}\n", TomlKey(name), value);
  }
  GPUHOST_TRY(Annotate(Flatten(kOverride, text).status(), "the tables under kata are no TOML"));
  return text;
}

absl::StatusOr<Recipe> RecipeFromInstalled(const HostFs& fs, const RuntimeClass& entry) {
  GPUHOST_ASSIGN(const std::string path, EndOfLinks(fs, entry.config_path));
  GPUHOST_ASSIGN(const std::string vendor, fs.Read(path));
  GPUHOST_ASSIGN(const std::string ours, RenderOverride(vendor, entry.kata, {}, ""));
  Recipe recipe;
  recipe.parts["configuration.toml"] = Bytes(vendor);
  Sha256 identity;
  identity.Update(path + '\0' + vendor + '\0' + ours);
  const std::string theirs = path.substr(0, path.rfind('/')) + "/config.d";
  for (const std::string& name : fs.List(theirs).value_or(std::vector<std::string>())) {
    GPUHOST_ASSIGN(const std::string text, fs.Read(theirs + "/" + name));
    identity.Update('\0' + name + '\0' + text);
    recipe.parts["config.d/" + name] = Bytes(text);
  }
  recipe.parts[kOverride] = Bytes(ours);
  recipe.identity = identity.Hex();
  return recipe;
}

}  // namespace gpuhost::kata_manager
