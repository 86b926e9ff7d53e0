// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/generation.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemons/kata-manager/store_lock.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr std::string_view kPrefix = "gen-";
constexpr std::string_view kUnfinished = ".partial";
constexpr const char* kRecord = "generation.json";
constexpr std::string_view kConfiguration = "configuration.toml";

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

// SHA-256 of all files: as promised, or as found where nobody has promised anything.
absl::StatusOr<std::map<std::string, std::string>> DigestsIn(const Tree& tree, const Recipe& recipe,
                                                             const Stopping& stopping) {
  GPUHOST_ASSIGN(const auto entries, tree.Entries());
  std::map<std::string, std::string> digests;
  for (const Tree::Entry& entry : entries) {
    if (entry.is_link) continue;
    if (const auto promised = recipe.promised.find(entry.name); promised != recipe.promised.end()) {
      digests[entry.name] = promised->second;
      continue;
    }
    GPUHOST_ASSIGN(const UniqueFd fd, tree.OpenForReading(entry.name));
    GPUHOST_ASSIGN(digests[entry.name], Sha256OfFd(fd.get(), entry.name, stopping));
  }
  return digests;
}

// What texts may name: files, also those that are reached by a link.
absl::StatusOr<std::vector<std::string>> FilesIn(const Tree& tree) {
  GPUHOST_ASSIGN(const auto entries, tree.Entries());
  std::vector<std::string> files;
  for (const Tree::Entry& entry : entries) {
    struct stat found {};
    const auto fd = entry.is_link ? tree.OpenForReading(entry.name) : UniqueFd();
    const bool is_file =
        !entry.is_link || (fd.ok() && ::fstat(fd->get(), &found) == 0 && S_ISREG(found.st_mode));
    if (is_file) files.push_back(entry.name);
  }
  return files;
}

absl::Status Fill(HostFs& fs, const Recipe& recipe, const std::string& partial,
                  const std::string& final_directory, const Stopping& stopping) {
  GPUHOST_ASSIGN(const Tree tree, Tree::Open(fs, partial));
  for (const auto& [name, put] : recipe.parts) {
    GPUHOST_TRY(CheckStopping(stopping));
    GPUHOST_TRY(Annotate(put(tree, name), name));
  }
  GPUHOST_TRY(tree.CheckLinks());
  GPUHOST_ASSIGN(const auto names, FilesIn(tree));
  if (!std::ranges::binary_search(names, kConfiguration)) {
    return Error(absl::StatusCode::kDataLoss, "{}: there is no {} in it", final_directory,
                 kConfiguration);
  }
  for (const auto& [name, render] : recipe.texts) {
    GPUHOST_ASSIGN(const std::string text, render(final_directory, names));
    GPUHOST_TRY(tree.Write(name, text, 0644));
  }
  GPUHOST_ASSIGN(const auto files, DigestsIn(tree, recipe, stopping));
  GPUHOST_TRY(tree.Sync());  // before anything says that it is complete
  const nlohmann::ordered_json json{
      {"identity", recipe.identity}, {"blobs", recipe.blobs}, {"files", files}};
  return fs.WriteFileAtomic(fmt::format("{}/{}", partial, kRecord), json.dump(2) + "\n", 0644);
}

absl::Status Build(HostFs& fs, const Recipe& recipe, const std::string& partial,
                   const std::string& final_directory, const Stopping& stopping) {
  GPUHOST_TRY(fs.RemoveTree(partial));  // what a crash has left
  GPUHOST_TRY(fs.MakeDirectories(partial));
  GPUHOST_TRY(Fill(fs, recipe, partial, final_directory, stopping));
  return fs.Rename(partial, final_directory);
}

struct Locks {
  StoreLock store, own;
};

// <artifactsDir> is two above the class's own.
absl::StatusOr<Locks> LocksFor(HostFs& fs, const std::string& class_directory,
                               const Stopping& stopping) {
  const std::string classes = class_directory.substr(0, class_directory.rfind('/'));
  GPUHOST_ASSIGN(StoreLock store,
                 StoreLock::Take(fs, classes.substr(0, classes.rfind('/')),
                                 StoreLock::Kind::kShared, kLockPatience, stopping));
  GPUHOST_ASSIGN(StoreLock own, StoreLock::Take(fs, class_directory, StoreLock::Kind::kAlone,
                                                kLockPatience, stopping));
  return Locks{std::move(store), std::move(own)};
}

// Whether what was promised is what the record of the generation says.
bool AgreesWith(const Generation& generation, const Recipe& recipe) {
  return std::ranges::all_of(recipe.promised, [&](const auto& promised) {
    const auto found = generation.files.find(promised.first);
    return found != generation.files.end() && found->second == promised.second;
  });
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
  if (!name.ok() || !NumberOf(*name)) return std::nullopt;
  const auto generation = Read(fs, class_directory, *name);
  return generation.ok() ? std::optional<Generation>(*generation) : std::nullopt;
}

absl::StatusOr<bool> Establish(HostFs& fs, const std::string& class_directory, const Recipe& recipe,
                               bool distrust, const Stopping& stopping) {
  distrust = distrust || recipe.has_just_come;
  const auto is_it = [&](const Generation& generation) {
    return generation.identity == recipe.identity && AgreesWith(generation, recipe) &&
           (!distrust || VerifyGeneration(fs, generation, stopping).ok());
  };
  if (const auto current = Current(fs, class_directory); !distrust && current && is_it(*current)) {
    return false;
  }
  GPUHOST_ASSIGN(const Locks locks, LocksFor(fs, class_directory, stopping));
  const auto current = Current(fs, class_directory);
  if (current && is_it(*current)) return false;
  const auto all = Generations(fs, class_directory);
  const auto same = std::ranges::find_if(all, is_it);
  GPUHOST_TRY(CheckStopping(stopping));  // then nothing was read to its end
  std::string name;
  if (same != all.end()) {
    name = fmt::format("{}{}", kPrefix, same->number);
  } else {
    name = fmt::format("{}{}", kPrefix, all.empty() ? 1 : all.back().number + 1);
    const std::string directory = class_directory + "/" + name;
    const std::string partial = directory + std::string(kUnfinished);
    const absl::Status built = Build(fs, recipe, partial, directory, stopping);
    recipe.made(built);
    if (!built.ok()) {
      fs.RemoveTree(partial).IgnoreError();  // the next one does it otherwise
      return built;
    }
  }
  GPUHOST_TRY(fs.ReplaceLink(class_directory + "/current", name));
  return true;
}

absl::StatusOr<Generation> Earlier(const HostFs& fs, const std::string& class_directory) {
  const auto current = Current(fs, class_directory);
  std::optional<Generation> earlier;
  for (const Generation& generation : Generations(fs, class_directory)) {
    if (current && generation.number < current->number) earlier = generation;
  }
  if (earlier) return *earlier;
  return Error(absl::StatusCode::kNotFound, "{}: there is no generation before the current one",
               class_directory);
}

absl::StatusOr<std::string> StepBack(HostFs& fs, const std::string& class_directory) {
  GPUHOST_TRY(Earlier(fs, class_directory).status());  // makes no directory for the lock
  GPUHOST_ASSIGN(const Locks locks, LocksFor(fs, class_directory, {}));
  GPUHOST_ASSIGN(const Generation earlier, Earlier(fs, class_directory));
  const auto current = Current(fs, class_directory);
  GPUHOST_TRY(
      fs.ReplaceLink(class_directory + "/current", fmt::format("{}{}", kPrefix, earlier.number)));
  return current ? current->identity : "";
}

absl::Status VerifyGeneration(const HostFs& fs, const Generation& generation,
                              const Stopping& stopping) {
  for (const auto& [name, digest] : generation.files) {
    const std::string path = generation.directory + "/" + name;
    GPUHOST_ASSIGN(const std::string now, Sha256OfFile(fs, path, stopping));
    if (now == digest) continue;
    return Error(absl::StatusCode::kDataLoss,
                 "{} has SHA-256 {} and not {}: the disk or somebody has changed it; use pull to "
                 "have it anew",
                 path, now, digest);
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
