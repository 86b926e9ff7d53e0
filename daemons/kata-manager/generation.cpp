// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/generation.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr std::string_view kPrefix = "gen-";
constexpr std::string_view kUnfinished = ".partial";
constexpr const char* kRecord = "generation.json";
constexpr const char* kConfiguration = "configuration.toml";

std::optional<int> NumberOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto number = ParseDecimal(name.substr(kPrefix.size()), 1'000'000'000);
  return number ? std::optional<int>(static_cast<int>(*number)) : std::nullopt;
}

absl::StatusOr<Generation> Read(const HostFs& fs, const std::string& class_directory,
                                const std::string& name) {
  Generation generation{.number = NumberOf(name).value_or(0),
                        .directory = class_directory + "/" + name};
  const std::string path = fmt::format("{}/{}", generation.directory, kRecord);
  GPUHOST_ASSIGN(const std::string text, fs.Read(path));
  try {
    const auto json = nlohmann::json::parse(text);
    json.at("identity").get_to(generation.identity);
    json.at("blobs").get_to(generation.blobs);
    json.at("files").get_to(generation.files);
  } catch (const nlohmann::json::exception& error) {
    return Error(absl::StatusCode::kDataLoss, "{}: {}", path, error.what());
  }
  return generation;
}

// Regular files below `directory`, by their names in it.
absl::StatusOr<std::map<std::string, std::string>> DigestsIn(const HostFs& fs,
                                                             const std::string& directory) {
  namespace stdfs = std::filesystem;
  std::map<std::string, std::string> digests;
  std::error_code error;
  const stdfs::path root = fs.Resolve(directory);
  for (stdfs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = stdfs::relative(at->path(), root, error).string();
    if (!at->is_regular_file() || at->is_symlink() || name == kRecord) continue;
    GPUHOST_ASSIGN(digests[name], Sha256OfFile(fs, directory + "/" + name));
  }
  if (error) return ErrnoStatus(error.value(), "list " + directory);
  return digests;
}

absl::Status Build(HostFs& fs, const Recipe& recipe, const std::string& partial,
                   const std::string& final_directory) {
  GPUHOST_TRY(fs.RemoveTree(partial));  // what a crash has left
  GPUHOST_TRY(fs.MakeDirectories(partial));
  const auto parent = [&](const std::string& name) {
    const std::string path = partial + "/" + name;
    return fs.MakeDirectories(path.substr(0, path.rfind('/')));
  };
  for (const auto& [name, put] : recipe.parts) {
    GPUHOST_TRY(parent(name));
    GPUHOST_TRY(put(fs, partial + "/" + name));
  }
  for (const auto& [name, text] : recipe.texts) {
    GPUHOST_TRY(parent(name));
    GPUHOST_TRY(fs.WriteFileAtomic(partial + "/" + name, text(final_directory), 0644));
  }
  if (!fs.Exists(fmt::format("{}/{}", partial, kConfiguration))) {
    return Error(absl::StatusCode::kDataLoss, "{}: there is no {} in it", final_directory,
                 kConfiguration);
  }
  GPUHOST_ASSIGN(const auto files, DigestsIn(fs, partial));
  const nlohmann::ordered_json json{
      {"identity", recipe.identity}, {"blobs", recipe.blobs}, {"files", files}};
  GPUHOST_TRY(
      fs.WriteFileAtomic(fmt::format("{}/{}", partial, kRecord), json.dump(2) + "\n", 0644));
  return fs.Rename(partial, final_directory);
}

}  // namespace

std::string ClassDirectory(const std::string& artifacts_dir, const std::string& name) {
  return fmt::format("{}/classes/{}", artifacts_dir, name);
}

std::string ConfigPath(const std::string& artifacts_dir, const std::string& name) {
  return fmt::format("{}/current/{}", ClassDirectory(artifacts_dir, name), kConfiguration);
}

std::vector<Generation> Generations(const HostFs& fs, const std::string& class_directory) {
  std::vector<Generation> generations;
  for (const std::string& name : fs.List(class_directory).value_or(std::vector<std::string>())) {
    if (!NumberOf(name)) continue;
    auto generation = Read(fs, class_directory, name);
    if (generation.ok()) generations.push_back(*std::move(generation));
  }
  std::ranges::sort(generations, {}, &Generation::number);
  return generations;
}

std::optional<Generation> Current(const HostFs& fs, const std::string& class_directory) {
  const auto name = fs.ReadLink(class_directory + "/current");
  if (!name.ok()) return std::nullopt;
  const auto generation = Read(fs, class_directory, *name);
  return generation.ok() ? std::optional<Generation>(*generation) : std::nullopt;
}

absl::StatusOr<bool> Establish(HostFs& fs, const std::string& class_directory, const Recipe& recipe,
                               bool distrust) {
  const auto is_it = [&](const Generation& generation) {
    return generation.identity == recipe.identity &&
           (!distrust || VerifyGeneration(fs, generation).ok());
  };
  const auto current = Current(fs, class_directory);
  if (current && is_it(*current)) return false;
  const auto all = Generations(fs, class_directory);
  const auto same = std::ranges::find_if(all, is_it);
  std::string name;
  if (same != all.end()) {
    name = fmt::format("{}{}", kPrefix, same->number);
  } else {
    name = fmt::format("{}{}", kPrefix, all.empty() ? 1 : all.back().number + 1);
    const std::string directory = class_directory + "/" + name;
    const std::string partial = directory + std::string(kUnfinished);
    if (const absl::Status built = Build(fs, recipe, partial, directory); !built.ok()) {
      fs.RemoveTree(partial).IgnoreError();  // the next one does it otherwise
      return built;
    }
  }
  GPUHOST_TRY(fs.ReplaceLink(class_directory + "/current", name));
  return true;
}

absl::StatusOr<std::string> StepBack(HostFs& fs, const std::string& class_directory) {
  const auto current = Current(fs, class_directory);
  std::optional<Generation> earlier;
  for (const Generation& generation : Generations(fs, class_directory)) {
    if (current && generation.number < current->number) earlier = generation;
  }
  if (!earlier) {
    return Error(absl::StatusCode::kNotFound, "{}: there is no generation before the current one",
                 class_directory);
  }
  GPUHOST_TRY(
      fs.ReplaceLink(class_directory + "/current", fmt::format("{}{}", kPrefix, earlier->number)));
  return current->identity;
}

absl::Status VerifyGeneration(const HostFs& fs, const Generation& generation) {
  for (const auto& [name, digest] : generation.files) {
    const std::string path = generation.directory + "/" + name;
    GPUHOST_ASSIGN(const std::string now, Sha256OfFile(fs, path));
    if (now == digest) continue;
    return Error(absl::StatusCode::kDataLoss,
                 "{} has SHA-256 {} and not {}: the disk or somebody has changed it; use pull to "
                 "have it anew",
                 path, now, digest);
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
