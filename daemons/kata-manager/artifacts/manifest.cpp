// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/manifest.h"

#include <nlohmann/json.hpp>
#include <set>

#include "daemons/kata-manager/artifacts/reference.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

using nlohmann::json;

constexpr size_t kMostLayers = 1000;
constexpr uint64_t kLargest = uint64_t{64} << 30;  // bytes, of all layers
constexpr const char* kTitle = "org.opencontainers.image.title";
constexpr const char* kUnpack = "io.deis.oras.content.unpack";

absl::Status Refuse(std::string_view why) {
  return Error(absl::StatusCode::kInvalidArgument, "the manifest is not usable: {}", why);
}

std::string TextAt(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

absl::StatusOr<json> Parse(const std::string& text) {
  auto parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) return Refuse("it is no JSON object");
  if (parsed.value("schemaVersion", json()) != 2) return Refuse("its schemaVersion is not 2");
  return parsed;
}

absl::StatusOr<Layer> ToLayer(const json& entry) {
  Layer layer{.digest = TextAt(entry, "digest"), .size = 0, .title = {}, .unpack = false};
  if (!IsDigest(layer.digest)) {
    return Refuse(fmt::format("'{}' is no SHA-256 digest", layer.digest.substr(0, 80)));
  }
  const auto size = entry.find("size");
  if (size == entry.end() || !size->is_number_unsigned()) return Refuse("a layer has no size");
  layer.size = size->get<uint64_t>();
  const json annotations = entry.value("annotations", json::object());
  layer.title = TextAt(annotations, kTitle);
  layer.unpack = TextAt(annotations, kUnpack) == "true";
  if (!layer.title.empty()) {
    if (const absl::Status status = CheckTitle(layer.title); !status.ok()) {
      return Refuse(Text(status));
    }
  }
  return layer;
}

}  // namespace

absl::Status CheckTitle(const std::string& title) {
  const auto refuse = [&](std::string_view why) {
    return Error(absl::StatusCode::kInvalidArgument, "the file name '{}' {}", title.substr(0, 80),
                 why);
  };
  if (title.empty() || title.size() > 255) return refuse("is empty or too long");
  if (title.front() == '/') return refuse("is absolute");
  for (const char c : title) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return refuse("has control characters");
    }
  }
  for (size_t begin = 0; begin <= title.size();) {
    const size_t end = std::min(title.find('/', begin), title.size());
    const std::string part = title.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return refuse("leaves its directory");
    begin = end + 1;
  }
  if (title == "generation.json" || title == "config.d" || title.starts_with("config.d/")) {
    return refuse("is taken");
  }
  return absl::OkStatus();
}

absl::StatusOr<Manifest> ParseManifest(const std::string& text) {
  GPUHOST_ASSIGN(const json parsed, Parse(text));
  const auto layers = parsed.find("layers");
  if (layers == parsed.end() || !layers->is_array()) return Refuse("it has no layers");
  if (layers->size() > kMostLayers) return Refuse("it has more than 1000 layers");
  Manifest manifest;
  std::set<std::string> titles;
  uint64_t total = 0;
  for (const json& entry : *layers) {
    if (!entry.is_object()) return Refuse("a layer is no object");
    GPUHOST_ASSIGN(Layer layer, ToLayer(entry));
    if (layer.size > kLargest || (total += layer.size) > kLargest) {
      return Refuse("it is larger than 64 GiB");
    }
    if (!layer.title.empty() && !titles.insert(layer.title).second) {
      return Refuse("two files are called " + layer.title);
    }
    manifest.layers.push_back(std::move(layer));
  }
  if (titles.empty()) return Refuse("none of its layers has a file name; is it an image?");
  return manifest;
}

absl::StatusOr<std::optional<std::string>> ChooseFromIndex(const std::string& text,
                                                           const std::string& architecture) {
  GPUHOST_ASSIGN(const json parsed, Parse(text));
  const auto manifests = parsed.find("manifests");
  if (manifests == parsed.end()) return std::optional<std::string>();
  if (!manifests->is_array()) return Refuse("its list of manifests is none");
  std::set<std::string> fitting;
  for (const json& entry : *manifests) {
    const json platform = entry.is_object() ? entry.value("platform", json::object()) : json();
    const std::string digest = TextAt(entry, "digest");
    const bool fits =
        TextAt(platform, "os") == "linux" && TextAt(platform, "architecture") == architecture;
    if (fits && IsDigest(digest)) fitting.insert(digest);
  }
  if (fitting.size() == 1) return std::optional(*fitting.begin());
  return Error(
      fitting.empty() ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition,
      "the index has {} artefacts for linux on {}; name one by its own digest", fitting.size(),
      architecture);
}

}  // namespace gpuhost::kata_manager::artifacts
