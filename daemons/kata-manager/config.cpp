// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/config.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <set>

#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr size_t kLargest = 1 << 20;
constexpr int64_t kLongestJitter = 24 * 3600;

using Take = std::function<absl::Status(const YAML::Node&)>;
using Keys = std::map<std::string, Take>;

class File {
 public:
  explicit File(std::string path) : path_(std::move(path)) {}

  template <typename... Args>
  absl::Status Refuse(const YAML::Mark& at, fmt::format_string<Args...> format,
                      Args&&... args) const {
    return Error(absl::StatusCode::kInvalidArgument, "{}:{}:{}: {}", path_, at.line + 1,
                 at.column + 1, fmt::format(format, std::forward<Args>(args)...));
  }

  // Hands each value of the map to the key's taker. Null is an empty map.
  absl::Status Map(const YAML::Node& node, const Keys& keys) const {
    std::vector<std::string> names;
    for (const auto& [name, take] : keys) names.push_back(name);
    return Each(node, [&](const std::string& key, const YAML::Mark& at, const YAML::Node& value) {
      const auto found = keys.find(key);
      if (found == keys.end()) {
        return Refuse(at, "'{}' is unknown; there are {}", key, fmt::join(names, ", "));
      }
      return found->second(value);
    });
  }

  using TakeKey =
      std::function<absl::Status(const std::string&, const YAML::Mark&, const YAML::Node&)>;
  absl::Status Each(const YAML::Node& node, const TakeKey& take) const {
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsMap()) return Refuse(node.Mark(), "a map is wanted here");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Refuse(entry.first.Mark(), "a key must be a word");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) return Refuse(entry.first.Mark(), "'{}' is there twice", key);
      GPUHOST_TRY(take(key, entry.first.Mark(), entry.second));
    }
    return absl::OkStatus();
  }

  absl::Status List(const YAML::Node& node, const Take& take) const {
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsSequence()) return Refuse(node.Mark(), "a list is wanted here");
    for (const auto& entry : node) GPUHOST_TRY(take(entry));
    return absl::OkStatus();
  }

  absl::Status Text(const YAML::Node& node, std::string& text) const {
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsScalar()) return Refuse(node.Mark(), "a text is wanted here");
    text = node.Scalar();
    return absl::OkStatus();
  }

  Take Text(std::string& text) const {
    return [this, &text](const YAML::Node& node) { return Text(node, text); };
  }
  Take Texts(std::vector<std::string>& texts) const {
    return [this, &texts](const YAML::Node& node) {
      texts.clear();
      return List(node, [&](const YAML::Node& entry) { return Text(entry, texts.emplace_back()); });
    };
  }
  Take TextMap(std::map<std::string, std::string>& map) const {
    return [this, &map](const YAML::Node& node) {
      return Each(node, [&](const std::string& key, const YAML::Mark&, const YAML::Node& value) {
        return Text(value, map[key]);
      });
    };
  }
  Take Bool(bool& flag) const {
    return [this, &flag](const YAML::Node& node) {
      const std::string word = node.IsScalar() ? node.Scalar() : "";
      if (word != "true" && word != "false") {
        return Refuse(node.Mark(), "true or false is wanted here");
      }
      flag = word == "true";
      return absl::OkStatus();
    };
  }
  // A number and its unit: 90s, 5m, 1h.
  Take Seconds(int64_t& seconds, int64_t most) const {
    return [this, &seconds, most](const YAML::Node& node) {
      static const std::map<char, int64_t> kUnits = {{'s', 1}, {'m', 60}, {'h', 3600}};
      const std::string word = node.IsScalar() ? node.Scalar() : "";
      const auto unit = kUnits.find(word.empty() ? '\0' : word.back());
      if (unit != kUnits.end()) {
        const auto number = ParseDecimal(std::string_view(word).substr(0, word.size() - 1),
                                         static_cast<uint64_t>(most / unit->second));
        if (number) {
          seconds = static_cast<int64_t>(*number) * unit->second;
          return absl::OkStatus();
        }
      }
      return Refuse(node.Mark(), "a time like 90s, 5m or 1h is wanted here, of {} h at most",
                    most / kUnits.at('h'));
    };
  }
  // A number and its unit, as Kubernetes writes quantities: 512Mi, 64Gi.
  Take Bytes(int64_t& bytes) const {
    return [this, &bytes](const YAML::Node& node) {
      constexpr uint64_t kMost = 1024;
      const std::string word = node.IsScalar() ? node.Scalar() : "";
      for (const auto& [unit, shift] : {std::pair{"Mi", 20}, std::pair{"Gi", 30}}) {
        if (!word.ends_with(unit)) continue;
        const uint64_t most = shift == 20 ? kMost << 10 : kMost;
        const auto number = ParseDecimal(std::string_view(word).substr(0, word.size() - 2), most);
        if (!number || *number == 0) continue;
        bytes = static_cast<int64_t>(*number) << shift;
        return absl::OkStatus();
      }
      return Refuse(node.Mark(), "a size like 512Mi or 64Gi is wanted here, of {}Gi at most",
                    kMost);
    };
  }
  template <typename T>
  Take Word(T& value, const std::map<std::string, T>& words) const {
    return [this, &value, words](const YAML::Node& node) {
      const auto found = words.find(node.IsScalar() ? node.Scalar() : "");
      if (found != words.end()) {
        value = found->second;
        return absl::OkStatus();
      }
      std::vector<std::string> names;
      for (const auto& [name, ignored] : words) names.push_back(name);
      return Refuse(node.Mark(), "one of {} is wanted here", fmt::join(names, ", "));
    };
  }
  // Values for TOML: what is a number or a truth value in YAML is one there, too.
  Take Literals(std::map<std::string, std::string>& map) const {
    return [this, &map](const YAML::Node& node) {
      return Each(node, [&](const std::string& key, const YAML::Mark&, const YAML::Node& value) {
        return Literal(value, map[key]);
      });
    };
  }
  absl::Status Value(const YAML::Node& node, std::string& literal) const {
    const std::string& word = node.Scalar();
    const bool plain = node.Tag() != "!";  // not in quotes
    const bool same = plain && IsTomlNumberOrBool(word);
    if (plain && !same && IsYamlNumberOrBool(word)) {
      return Refuse(node.Mark(),
                    "'{}' is a number or a truth value in another spelling than Kata takes; write "
                    "it as 4096, 0.5, true or false, or in quotes if it is a text",
                    word);
    }
    literal = same ? word : Quoted(word);
    return absl::OkStatus();
  }
  absl::Status Literal(const YAML::Node& node, std::string& literal) const {
    if (node.IsScalar()) return Value(node, literal);
    if (!node.IsSequence()) return Refuse(node.Mark(), "a value or a list of values is wanted");
    std::vector<std::string> parts;
    for (const auto& entry : node) {
      if (!entry.IsScalar()) return Refuse(entry.Mark(), "lists may hold values only");
      GPUHOST_TRY(Literal(entry, parts.emplace_back()));
    }
    literal = fmt::format("[{}]", fmt::join(parts, ", "));
    return absl::OkStatus();
  }

 private:
  std::string path_;
};

absl::Status TakeArtifacts(const File& file, const YAML::Node& node, ArtifactSource& artifacts) {
  return file.Map(node, {{"url", file.Text(artifacts.url)},
                         {"pullSecret",
                          [&](const YAML::Node& value) {
                            std::string name;
                            GPUHOST_TRY(file.Text(value, name));
                            if (!name.empty()) artifacts.pull_secrets.push_back(name);
                            return absl::OkStatus();
                          }},
                         {"pullSecrets",
                          [&](const YAML::Node& value) {
                            return file.List(value, [&](const YAML::Node& entry) {
                              return file.Text(entry, artifacts.pull_secrets.emplace_back());
                            });
                          }},
                         {"pullSecretFiles", file.Texts(artifacts.secret_files)},
                         {"allowTag", file.Bool(artifacts.allow_tag)}});
}

absl::Status TakeClass(const File& file, const YAML::Node& node, Config& config) {
  RuntimeClass entry;
  const auto kata = [&](const YAML::Node& value) {
    return file.Each(value, [&](const std::string& key, const YAML::Mark&, const YAML::Node& keys) {
      return file.Literals(entry.kata[key])(keys);
    });
  };
  GPUHOST_TRY(file.Map(
      node, {{"name", file.Text(entry.name)},
             {"nodeSelector", file.TextMap(entry.node_selector)},
             {"overhead", file.TextMap(entry.overhead)},
             {"artifacts",
              [&](const YAML::Node& value) { return TakeArtifacts(file, value, entry.artifacts); }},
             {"configPath", file.Text(entry.config_path)},
             {"runtimePath", file.Text(entry.runtime_path)},
             {"snapshotter", file.Text(entry.snapshotter)},
             {"podAnnotations", file.Texts(entry.pod_annotations)},
             {"containerAnnotations", file.Texts(entry.container_annotations)},
             {"privilegedWithoutHostDevices", file.Bool(entry.privileged_without_host_devices)},
             {"handler", file.Literals(entry.handler)},
             {"kata", kata}}));
  const YAML::Mark at = node.Mark();
  if (const absl::Status name = CheckHandlerName(entry.name); !name.ok()) {
    return file.Refuse(at, "{}", Text(name));
  }
  if (entry.artifacts.url.empty() == entry.config_path.empty()) {
    return file.Refuse(at, "class {} needs artifacts.url or configPath, and not both", entry.name);
  }
  for (const std::string& path : {entry.config_path, entry.runtime_path}) {
    if (!path.empty() && !path.starts_with('/')) {
      return file.Refuse(at, "'{}' must be an absolute path", path);
    }
  }
  for (const RuntimeClass& other : config.classes) {
    if (other.name == entry.name) return file.Refuse(at, "class {} is there twice", entry.name);
  }
  config.classes.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status TakeAll(const File& file, const YAML::Node& root, Config& config) {
  std::map<std::string, std::string> flavors;
  for (const char* name : {"auto", "plain", "k3s", "rke2", "k0s", "microk8s"}) flavors[name] = name;
  const Keys containerd = {
      {"mode", file.Word<Placement>(config.placement,
                                    {{"auto", Placement::kAuto}, {"off", Placement::kOff}})},
      {"flavor", file.Word(config.flavor, flavors)},
      {"restart",
       file.Word<Restart>(config.restart, {{"auto", Restart::kAuto}, {"never", Restart::kNever}})},
      {"restartJitter", file.Seconds(config.restart_jitter, kLongestJitter)}};
  const Keys cdi = {{"mode", file.Word<CdiMode>(config.cdi, {{"auto", CdiMode::kAuto},
                                                             {"verify", CdiMode::kVerify},
                                                             {"off", CdiMode::kOff}})}};
  const Keys registry = {{"ca", file.Text(config.registry_ca)},
                         {"plainHttp", file.Texts(config.plain_http)},
                         {"tokenHosts", file.Texts(config.token_hosts)},
                         {"largestArtifact", file.Bytes(config.largest_artifact)}};
  GPUHOST_TRY(file.Map(
      root, {{"artifactsDir", file.Text(config.artifacts_dir)},
             {"runtimeClasses",
              [&](const YAML::Node& list) {
                return file.List(
                    list, [&](const YAML::Node& node) { return TakeClass(file, node, config); });
              }},
             {"containerd", [&](const YAML::Node& node) { return file.Map(node, containerd); }},
             {"cdi", [&](const YAML::Node& node) { return file.Map(node, cdi); }},
             {"registry", [&](const YAML::Node& node) { return file.Map(node, registry); }}}));
  if (!config.artifacts_dir.empty() && !config.artifacts_dir.starts_with('/')) {
    return file.Refuse(root.Mark(), "artifactsDir '{}' must be an absolute path",
                       config.artifacts_dir);
  }
  return absl::OkStatus();
}

// Whether a text that ParseConfig takes is blank, or comments alone.
bool SaysNothing(const std::string& text) { return YAML::Load(text).IsNull(); }

}  // namespace

std::vector<std::string> NamesOf(const Config& config) {
  std::vector<std::string> names;
  for (const RuntimeClass& entry : config.classes) names.push_back(entry.name);
  return names;
}

absl::StatusOr<Config> ParseConfig(const std::string& path, const std::string& text) {
  if (text.size() > kLargest) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: larger than 1 MiB; is this the file?",
                 path);
  }
  const File file(path);
  Config config;
  try {
    GPUHOST_TRY(TakeAll(file, YAML::Load(text), config));
  } catch (const YAML::Exception& error) {
    return file.Refuse(error.mark, "{}", error.msg);
  }
  return config;
}

std::string TextAt(const std::string& yaml, const std::string& key) {
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap()) return "";
    const YAML::Node value = root[key];
    return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
  } catch (const YAML::Exception&) {
    return "";
  }
}

absl::StatusOr<Config> ReadConfig(const HostFs& fs, const std::string& path, Silence silence) {
  const auto text = fs.Read(path);
  if (absl::IsNotFound(text.status())) {
    if (silence.missing) return Config();
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is not there; all stays as it is. To have no classes, say so in it: "
                 "runtimeClasses: []",
                 path);
  }
  if (!text.ok()) return text.status();
  GPUHOST_ASSIGN(Config config, ParseConfig(path, *text));
  if (silence.empty || !SaysNothing(*text)) return config;
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} is empty; all stays as it is. To have no classes, say so in it: "
               "runtimeClasses: []",
               path);
}

}  // namespace gpuhost::kata_manager
