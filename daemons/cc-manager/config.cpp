// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/config.h"

#include <toml++/toml.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

class File {
 public:
  explicit File(std::string path) : path_(std::move(path)) {}

  template <typename... Args>
  absl::Status Refuse(const toml::source_position& at, fmt::format_string<Args...> format,
                      Args&&... args) const {
    return Error(absl::StatusCode::kInvalidArgument, "{}:{}:{}: {}", path_, at.line, at.column,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  absl::StatusOr<std::string> Text(std::string_view key, const toml::node& value) const {
    if (const auto* text = value.as_string()) return text->get();
    return Refuse(value.source().begin, "{} must be a text in quotes", key);
  }

  absl::Status Take(std::string_view key, const toml::node& value, Config& config) const {
    const toml::source_position at = value.source().begin;
    if (key == "gpus") {
      return Refuse(at, "a node has one mode, single GPUs cannot have another; use mode");
    }
    if (key != "mode" && key != "workload-policy" && key != "http-address") {
      return Refuse(at, "'{}' is unknown; there are mode, workload-policy and http-address", key);
    }
    GPUHOST_ASSIGN(const std::string text, Text(key, value));
    if (key == "http-address") {
      config.http_address = text;
    } else if (key == "mode") {
      const auto mode = cc::ParseMode(text);
      if (!mode.ok()) return Refuse(at, "{}", gpuhost::Text(mode.status()));
      config.mode = *mode;
    } else {
      const auto policy = ParsePolicy(text);
      if (!policy.ok()) return Refuse(at, "{}", gpuhost::Text(policy.status()));
      if (*policy == WorkloadPolicy::kDrain) {
        return Refuse(at, "drain evicts pods, and without Kubernetes there are none");
      }
      config.policy = *policy;
    }
    return absl::OkStatus();
  }

 private:
  std::string path_;
};

}  // namespace

absl::StatusOr<WorkloadPolicy> ParsePolicy(std::string_view text) {
  if (text == "wait") return WorkloadPolicy::kWait;
  if (text == "refuse") return WorkloadPolicy::kRefuse;
  if (text == "drain") return WorkloadPolicy::kDrain;
  if (text == "force") return WorkloadPolicy::kForce;
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no policy; use wait, refuse, drain or force", text);
}

absl::StatusOr<Config> ReadConfig(const HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(const std::string text, fs.Read(path));
  const File file(path);
  Config config;
  try {
    const toml::table table = toml::parse(text);
    for (const auto& [key, value] : table) GPUHOST_TRY(file.Take(key.str(), value, config));
  } catch (const toml::parse_error& error) {
    return file.Refuse(error.source().begin, "{}", error.description());
  }
  return config;
}

}  // namespace gpuhost::cc_manager
