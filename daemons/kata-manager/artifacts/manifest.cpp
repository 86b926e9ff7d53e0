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
constexpr size_t kLongestPath = 1024, kLongestPart = 255;
constexpr const char* kArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json";
constexpr const char* kTitle = "org.opencontainers.image.title";
constexpr const char* kUnpack = "io.deis.oras.content.unpack";
constexpr const char* kContentDigest = "io.deis.oras.content.digest";

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
  if (TextAt(parsed, "mediaType") == kArtifactManifest) {
    return Refuse(
        "it is an OCI artifact manifest, as oras pushed it before 1.0; no registry specification "
        "has that kind any more; push it again with a newer oras");
  }
  if (parsed.value("schemaVersion", json()) != 2) return Refuse("its schemaVersion is not 2");
  return parsed;
}

absl::StatusOr<Layer> ToLayer(const json& entry) {
  Layer layer;
  layer.digest = TextAt(entry, "digest");
  if (!IsDigest(layer.digest)) {
    return Refuse(fmt::format("'{}' is no SHA-256 digest", layer.digest.substr(0, 80)));
  }
  const auto size = entry.find("size");
  if (size == entry.end() || !size->is_number_unsigned()) return Refuse("a layer has no size");
  layer.size = size->get<uint64_t>();
  const json annotations = entry.value("annotations", json::object());
  layer.title = TextAt(annotations, kTitle);
  layer.unpack = TextAt(annotations, kUnpack) == "true";
  const std::string content = TextAt(annotations, kContentDigest);
  if (layer.unpack && IsDigest(content))
    layer.content_digest = content.substr(content.find(':') + 1);
  if (!layer.title.empty()) {
    if (const absl::Status status = CheckTitle(layer.title); !status.ok()) {
      return Refuse(Text(status));
    }
  }
  return layer;
}

// Source: RFC 3629, section 4.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t more = first < 0x80                    ? 0
                        : first >= 0xc2 && first < 0xe0 ? 1
                        : first >= 0xe0 && first < 0xf0 ? 2
                        : first >= 0xf0 && first < 0xf5 ? 3
                                                        : text.size();
    if (more >= text.size() - i) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    const auto second = more > 0 ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool none = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    if (overlong || none) return false;
    i += more + 1;
  }
  return true;
}

// No file may be the directory of another one: not a plain one, which it cannot be, and not an
// archive, whose entries the other one would be put between.
absl::Status CheckNested(const std::set<std::string>& titles) {
  for (const std::string& title : titles) {
    for (size_t slash = title.find('/'); slash != std::string::npos;
         slash = title.find('/', slash + 1)) {
      const std::string above = title.substr(0, slash);
      if (titles.contains(above)) {
        return Refuse(fmt::format("{} is to be put into {}, which is a layer of its own",
                                  title.substr(0, 80), above.substr(0, 80)));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPath(const std::string& path) {
  const auto refuse = [&](std::string_view why) {
    return Error(absl::StatusCode::kInvalidArgument, "the file name '{}' {}",
                 IsUtf8(path) ? path.substr(0, 80) : "", why);
  };
  if (!IsUtf8(path)) return refuse("is not in UTF-8");
  if (path.empty() || path.size() > kLongestPath) return refuse("is empty or too long");
  if (path.front() == '/') return refuse("is absolute");
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return refuse("has control characters");
    }
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return refuse("leaves its directory");
    if (part.size() > kLongestPart) return refuse("has a part that is too long");
    begin = end + 1;
  }
  return absl::OkStatus();
}

absl::Status CheckTitle(const std::string& title) {
  GPUHOST_TRY(CheckPath(title));
  if (title != "generation.json" && title != "config.d" && !title.starts_with("config.d/")) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kInvalidArgument, "the file name '{}' is taken",
               title.substr(0, 80));
}

absl::StatusOr<Manifest> ParseManifest(const std::string& text, uint64_t largest) {
  GPUHOST_ASSIGN(const json parsed, Parse(text));
  if (parsed.contains("manifests")) {
    return Refuse("it is an index in an index; name the artefact by its own digest");
  }
  const auto layers = parsed.find("layers");
  if (layers == parsed.end() || !layers->is_array()) return Refuse("it has no layers");
  if (layers->size() > kMostLayers) return Refuse("it has more than 1000 layers");
  Manifest manifest;
  std::set<std::string> titles;
  uint64_t total = 0;
  for (const json& entry : *layers) {
    if (!entry.is_object()) return Refuse("a layer is no object");
    GPUHOST_ASSIGN(Layer layer, ToLayer(entry));
    if (layer.size > largest || (total += layer.size) > largest) {
      return Refuse(
          fmt::format("it is larger than {} bytes; see registry.largestArtifact", largest));
    }
    if (!layer.title.empty() && !titles.insert(layer.title).second) {
      return Refuse("two files are called " + layer.title);
    }
    manifest.layers.push_back(std::move(layer));
  }
  GPUHOST_TRY(CheckNested(titles));
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
