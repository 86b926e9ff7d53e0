// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/fetch.h"

#include <sys/utsname.h>

#include <algorithm>

#include "daemons/kata-manager/artifacts/unpack.h"
#include "daemons/kata-manager/kata_config.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr Duration kTagPause = std::chrono::hours(1);
constexpr uint64_t kUnpackFactor = 4;  // how much an archive grows, as a guess
constexpr const char* kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

// As Go calls it, and so registries.
std::string Architecture() {
  utsname names{};
  if (::uname(&names) != 0) return "amd64";
  const std::string machine = names.machine;
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}

// The alphabetically first .toml, as NVIDIA's kata-manager chooses.
const Layer* ConfigurationOf(const Manifest& manifest) {
  const Layer* first = nullptr;
  for (const Layer& layer : manifest.layers) {
    const bool is_toml = layer.title.ends_with(".toml") && !layer.unpack &&
                         layer.title.find('/') == std::string::npos;
    if (is_toml && (first == nullptr || layer.title < first->title)) first = &layer;
  }
  return first;
}

Put LinkTo(std::string blob) {
  return [blob = std::move(blob)](HostFs& fs, const std::string& path) {
    return fs.HardLink(blob, path);
  };
}

}  // namespace

Store& Fetcher::StoreAt(const std::string& artifacts_dir) {
  return stores_.try_emplace(artifacts_dir, fs_, artifacts_dir + "/cas", find_space_).first->second;
}

absl::StatusOr<std::optional<Login>> Fetcher::LoginFor(const ArtifactSource& source,
                                                       const Reference& reference) {
  Credentials credentials;
  for (const std::string& path : source.secret_files) {
    GPUHOST_ASSIGN(const std::string text, fs_.Read(path));
    GPUHOST_TRY(credentials.Add(path, text));
  }
  for (const std::string& name : source.pull_secrets) {
    GPUHOST_ASSIGN(const std::string text, read_secret_(name));
    GPUHOST_TRY(credentials.Add("secret " + name, text));
  }
  return credentials.Find(reference.host, reference.repository);
}

absl::StatusOr<std::string> Fetcher::ManifestBytes(Registry& registry, Store& store,
                                                   const std::string& version) {
  if (IsDigest(version) && store.Has(version)) return fs_.Read(store.PathOf(version));
  GPUHOST_ASSIGN(const Registry::Document document, registry.FetchManifest(version));
  if (!store.Has(document.digest)) GPUHOST_TRY(store.Put(document.digest, document.bytes));
  return document.bytes;
}

absl::Status Fetcher::FetchLayers(Registry& registry, Store& store, const Manifest& manifest) {
  std::vector<const Layer*> missing;
  uint64_t bytes = 0;
  for (const Layer& layer : manifest.layers) {
    if (layer.title.empty()) continue;
    if (store.Has(layer.digest)) continue;
    missing.push_back(&layer);
    bytes += layer.size - std::min(layer.size, store.Arrived(layer.digest));
    if (layer.unpack) bytes += kUnpackFactor * layer.size;
  }
  if (missing.empty()) return absl::OkStatus();
  GPUHOST_TRY(store.CheckSpace(bytes));
  for (const Layer* layer : missing) {
    if (store.Has(layer->digest)) continue;  // the same under another name
    GPUHOST_TRY(Annotate(registry.FetchBlob(layer->digest, layer->size, store), layer->title));
  }
  return absl::OkStatus();
}

absl::StatusOr<Recipe> Fetcher::MakeRecipe(const RuntimeClass& entry, const Store& store,
                                           const Manifest& manifest, const std::string& digest) {
  const Layer* configuration = ConfigurationOf(manifest);
  if (configuration == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "{} has no file that ends in .toml; is it made for Kata?", entry.artifacts.url);
  }
  Recipe recipe;
  recipe.blobs.push_back(digest.substr(digest.find(':') + 1));
  std::vector<std::string> files;
  for (const Layer& layer : manifest.layers) {
    if (layer.title.empty()) continue;
    const std::string blob = store.PathOf(layer.digest);
    recipe.blobs.push_back(layer.digest.substr(layer.digest.find(':') + 1));
    files.push_back(layer.title);
    recipe.parts[layer.title] =
        layer.unpack
            ? Put([blob](HostFs& fs, const std::string& path) { return Unpack(fs, blob, path); })
            : LinkTo(blob);
  }
  if (configuration->title != "configuration.toml") {
    recipe.parts["configuration.toml"] = [title = configuration->title](HostFs& fs,
                                                                        const std::string& path) {
      return fs.ReplaceLink(path, title);
    };
  }
  GPUHOST_ASSIGN(const std::string vendor, fs_.Read(store.PathOf(configuration->digest)));
  const auto render = [vendor, kata = entry.kata, files](const std::string& directory) {
    return RenderOverride(vendor, kata, files, directory);
  };
  GPUHOST_ASSIGN(const std::string sample, render("/"));
  recipe.texts[kOverride] = [render](const std::string& directory) { return *render(directory); };
  recipe.identity = Sha256Of(digest + '\0' + sample);
  return recipe;
}

absl::StatusOr<Recipe> Fetcher::Fetch(const RuntimeClass& entry, const Config& config,
                                      const std::string& artifacts_dir) {
  const ArtifactSource& source = entry.artifacts;
  GPUHOST_ASSIGN(const Reference reference, ParseReference(source.url));
  if (reference.digest.empty() && !source.allow_tag) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} has a tag, which may mean something else tomorrow; name it by @sha256:..., or "
                 "set allowTag",
                 source.url);
  }
  RegistrySettings settings{.ca_pem = {}, .plain_http = config.plain_http};
  if (!config.registry_ca.empty()) {
    GPUHOST_ASSIGN(const std::string ours, fs_.Read(config.registry_ca));
    settings.ca_pem = ours + "\n" + fs_.Read(kSystemAuthorities).value_or("");
  }
  Store& store = StoreAt(artifacts_dir);
  std::string version = reference.Version();
  const auto looked = looked_.find(source.url);
  const bool fresh = looked != looked_.end() && deps_.clock.Now() - looked->second.at < kTagPause;
  if (fresh) version = looked->second.digest;
  Registry registry(
      deps_, reference, [&] { return LoginFor(source, reference); }, settings);
  GPUHOST_ASSIGN(std::string bytes, ManifestBytes(registry, store, version));
  std::string digest = "sha256:" + Sha256Of(bytes);
  if (!IsDigest(version)) looked_[source.url] = {digest, deps_.clock.Now()};
  GPUHOST_ASSIGN(const auto chosen, ChooseFromIndex(bytes, Architecture()));
  if (chosen) {
    digest = *chosen;
    GPUHOST_ASSIGN(bytes, ManifestBytes(registry, store, digest));
  }
  GPUHOST_ASSIGN(const Manifest manifest, ParseManifest(bytes));
  GPUHOST_TRY(FetchLayers(registry, store, manifest));
  return MakeRecipe(entry, store, manifest, digest);
}

}  // namespace gpuhost::kata_manager::artifacts
