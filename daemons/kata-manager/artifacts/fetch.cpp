// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/fetch.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>

#include "daemons/kata-manager/artifacts/unpack.h"
#include "daemons/kata-manager/kata_config.h"
#include "daemons/kata-manager/store_lock.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr Duration kTagPause = std::chrono::hours(1);
constexpr uint64_t kUnpackFactor = 4;  // how much an archive grows, as a guess
// Where Debian, Red Hat, SUSE and Alpine have them; the first that is there counts.
constexpr std::array kSystemAuthorities = {"/etc/ssl/certs/ca-certificates.crt",
                                           "/etc/pki/tls/certs/ca-bundle.crt",
                                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

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

Put LinkTo(const HostFs& fs, std::string blob) {
  return [&fs, blob = std::move(blob)](const Tree& tree, const std::string& name) {
    return tree.LinkTo(fs, blob, name);
  };
}

std::string HexOf(const std::string& digest) { return digest.substr(digest.find(':') + 1); }

// To it nothing has an address.
class Offline : public kube::HttpClient {
 public:
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint&, const kube::Request&,
                                        const kube::BodySink&) override {
    was_asked = true;
    return absl::FailedPreconditionError("offline");
  }
  bool was_asked = false;
};

}  // namespace

struct Fetcher::Job {
  const RuntimeClass& entry;
  const Config& config;
  Store& store;
  std::string digest;  // of its manifest
};

Store& Fetcher::StoreAt(const std::string& artifacts_dir) {
  const std::lock_guard lock(mutex_);
  return stores_
      .try_emplace(artifacts_dir, fs_, artifacts_dir + "/cas", find_space_, deps_.stopping)
      .first->second;
}

std::string Fetcher::VersionOf(const std::string& url, const Reference& reference) {
  const std::lock_guard lock(mutex_);
  const auto looked = looked_.find(url);
  const bool fresh = looked != looked_.end() && deps_.clock.Now() - looked->second.at < kTagPause;
  return fresh ? looked->second.digest : reference.Version();
}

absl::StatusOr<FoundLogin> Fetcher::LoginFor(const ArtifactSource& source,
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
  auto login = credentials.Find(reference.host, reference.repository);
  if (!login.ok()) return FoundLogin{std::nullopt, login.status()};
  return FoundLogin{*std::move(login), absl::OkStatus()};
}

absl::StatusOr<RegistrySettings> Fetcher::SettingsFrom(const Config& config) const {
  RegistrySettings settings{
      .ca_pem = {}, .plain_http = config.plain_http, .token_hosts = config.token_hosts};
  if (config.registry_ca.empty()) return settings;
  GPUHOST_ASSIGN(settings.ca_pem, fs_.Read(config.registry_ca));
  for (const char* path : kSystemAuthorities) {
    const auto system = fs_.Read(path);
    if (!system.ok()) continue;
    settings.ca_pem += "\n" + *system;
    break;
  }
  return settings;
}

absl::StatusOr<std::string> Fetcher::ManifestBytes(Registry& registry, Store& store,
                                                   const std::string& version) {
  if (IsDigest(version)) {
    GPUHOST_ASSIGN(const bool is_here, store.Has(version));
    if (is_here) return fs_.Read(store.PathOf(version));
  }
  GPUHOST_ASSIGN(const Registry::Document document, registry.FetchManifest(version));
  GPUHOST_ASSIGN(const bool is_here, store.Has(document.digest));
  if (!is_here) GPUHOST_TRY(store.Put(document.digest, document.bytes));
  return document.bytes;
}

// Whether something had to be fetched.
absl::StatusOr<bool> Fetcher::FetchLayers(Registry& registry, const Job& job,
                                          const Manifest& manifest) {
  std::vector<const Layer*> missing;
  uint64_t bytes = 0;
  for (const Layer& layer : manifest.layers) {
    if (layer.title.empty()) continue;
    GPUHOST_ASSIGN(const bool is_here, job.store.Has(layer.digest));
    if (is_here) continue;
    missing.push_back(&layer);
    bytes += layer.size - std::min(layer.size, job.store.Arrived(layer.digest));
    if (layer.unpack) bytes += kUnpackFactor * layer.size;
  }
  if (missing.empty()) return false;
  GPUHOST_TRY(job.store.CheckSpace(bytes));
  for (const Layer* layer : missing) {
    GPUHOST_ASSIGN(const bool is_here, job.store.Has(layer->digest));
    if (is_here) continue;  // the same under another name
    const absl::Status status =
        Annotate(registry.FetchBlob(layer->digest, layer->size, job.store), layer->title);
    if (absl::IsDataLoss(status) || absl::IsResourceExhausted(status)) {
      setbacks_.Tell(job.entry, job.config, job.digest, status, /*for_good=*/false);
    }
    GPUHOST_TRY(status);
  }
  return true;
}

// `left`: bytes that the archives of the artefact may still become.
Put Fetcher::UnpackAs(const Job& job, const Layer& layer, std::shared_ptr<uint64_t> left) {
  UnpackWishes wishes{.prefix = layer.title, .content_digest = layer.content_digest};
  wishes.go_on = [this, &store = job.store, calls = 0u]() mutable -> absl::Status {
    GPUHOST_TRY(CheckStopping(deps_.stopping));
    constexpr unsigned kLookAtSpace = 64;  // pieces of some hundred KiB at most
    return calls++ % kLookAtSpace == 0 ? store.CheckSpace(0) : absl::OkStatus();
  };
  return [this, wishes = std::move(wishes), left = std::move(left),
          blob = job.store.PathOf(layer.digest)](const Tree& tree,
                                                 const std::string& name) -> absl::Status {
    UnpackWishes now = wishes;
    now.bytes = *left;
    GPUHOST_ASSIGN(const uint64_t used, Unpack(fs_, blob, tree, name, now));
    *left -= used;
    return absl::OkStatus();
  };
}

absl::StatusOr<Recipe> Fetcher::MakeRecipe(const Job& job, const Manifest& manifest) {
  const Layer* configuration = ConfigurationOf(manifest);
  if (configuration == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "{} has no file that ends in .toml; is it made for Kata?",
                 job.entry.artifacts.url);
  }
  Recipe recipe;
  recipe.blobs.push_back(HexOf(job.digest));
  std::vector<std::string> files;
  bool has_archive = false;
  const auto left = std::make_shared<uint64_t>(static_cast<uint64_t>(job.config.largest_artifact));
  for (const Layer& layer : manifest.layers) {
    if (layer.title.empty()) continue;
    recipe.blobs.push_back(HexOf(layer.digest));
    has_archive = has_archive || layer.unpack;
    if (layer.unpack) {
      recipe.parts[layer.title] = UnpackAs(job, layer, left);
      continue;
    }
    files.push_back(layer.title);
    recipe.promised[layer.title] = HexOf(layer.digest);
    recipe.parts[layer.title] = LinkTo(fs_, job.store.PathOf(layer.digest));
  }
  if (configuration->title != "configuration.toml") {
    recipe.parts["configuration.toml"] = [title = configuration->title](const Tree& tree,
                                                                        const std::string& name) {
      return tree.Symlink(name, title);
    };
  }
  GPUHOST_ASSIGN(const std::string vendor, fs_.Read(job.store.PathOf(configuration->digest)));
  const auto render = [vendor, kata = job.entry.kata](const std::string& directory,
                                                      const std::vector<std::string>& names) {
    return RenderOverride(vendor, kata, names, directory);
  };
  // What archives hold is known when they are unpacked.
  GPUHOST_ASSIGN(const std::string sample,
                 render("/", has_archive ? std::vector<std::string>() : files));
  recipe.texts[kOverride] = render;
  recipe.identity = Sha256Of(job.digest + '\0' + sample);
  recipe.made = [this, entry = job.entry, config = job.config, digest = job.digest,
                 &store = job.store](const absl::Status& made) {
    if (!made.ok()) store.Distrust();
    setbacks_.Tell(entry, config, digest, made, absl::IsDataLoss(made));
  };
  return recipe;
}

absl::StatusOr<Recipe> Fetcher::FetchLocal(const RuntimeClass& entry, const Config& config,
                                           const std::string& artifacts_dir) {
  Offline offline;
  auto recipe = FetchWith(offline, entry, config, artifacts_dir);
  if (offline.was_asked) return absl::UnavailableError("its artefacts are not all here");
  return recipe;
}

absl::StatusOr<Recipe> Fetcher::Fetch(const RuntimeClass& entry, const Config& config,
                                      const std::string& artifacts_dir) {
  return FetchWith(deps_.http, entry, config, artifacts_dir);
}

absl::StatusOr<Recipe> Fetcher::FetchWith(kube::HttpClient& http, const RuntimeClass& entry,
                                          const Config& config, const std::string& artifacts_dir) {
  const ArtifactSource& source = entry.artifacts;
  GPUHOST_ASSIGN(const Reference reference, ParseReference(source.url));
  if (reference.digest.empty() && !source.allow_tag) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} has a tag, which may mean something else tomorrow; name it by @sha256:..., or "
                 "set allowTag",
                 source.url);
  }
  GPUHOST_ASSIGN(const RegistrySettings settings, SettingsFrom(config));
  GPUHOST_ASSIGN(StoreLock hold, StoreLock::Take(fs_, artifacts_dir, StoreLock::Kind::kShared,
                                                 kLockPatience, deps_.stopping));
  RegistryDeps deps{.http = http,
                    .clock = deps_.clock,
                    .stopping = deps_.stopping,
                    .waiting = deps_.waiting,
                    .progress = deps_.progress};
  Registry registry(
      deps, reference, [&] { return LoginFor(source, reference); }, settings);
  Job job{entry, config, StoreAt(artifacts_dir), {}};
  const std::string version = VersionOf(source.url, reference);
  GPUHOST_ASSIGN(std::string bytes, ManifestBytes(registry, job.store, version));
  job.digest = "sha256:" + Sha256Of(bytes);
  if (!IsDigest(version)) {
    const std::lock_guard lock(mutex_);
    looked_[source.url] = {job.digest, deps_.clock.Now()};
  }
  GPUHOST_ASSIGN(const auto chosen, ChooseFromIndex(bytes, Architecture()));
  if (chosen) {
    job.digest = *chosen;
    GPUHOST_ASSIGN(bytes, ManifestBytes(registry, job.store, job.digest));
  }
  GPUHOST_TRY(setbacks_.Check(entry, config, job.digest));
  GPUHOST_ASSIGN(const Manifest manifest,
                 ParseManifest(bytes, static_cast<uint64_t>(config.largest_artifact)));
  GPUHOST_ASSIGN(const bool has_just_come, FetchLayers(registry, job, manifest));
  GPUHOST_ASSIGN(Recipe recipe, MakeRecipe(job, manifest));
  recipe.has_just_come = has_just_come;
  recipe.hold = std::make_shared<StoreLock>(std::move(hold));
  return recipe;
}

}  // namespace gpuhost::kata_manager::artifacts
