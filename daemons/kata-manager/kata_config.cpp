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

Put Bytes(std::string bytes) {
  return [bytes = std::move(bytes)](HostFs& fs, const std::string& path) {
    return fs.WriteFileAtomic(path, bytes, 0644);
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
    const std::string file = BaseName(value.substr(1, value.size() - 2));
    if (std::ranges::find(files, file) == files.end()) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "its configuration names {} as {}, and that is not among its files ({})", file,
                   key, fmt::join(files, ", "));
    }
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
