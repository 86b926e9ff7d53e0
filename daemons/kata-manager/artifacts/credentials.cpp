// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/credentials.h"

#include <absl/strings/escaping.h>

#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

// "https://host:5000/v1/" and "host/path" alike.
std::pair<std::string, std::string> HostAndPath(std::string key) {
  for (const char* scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.erase(0, std::string_view(scheme).size());
  }
  while (key.ends_with('/')) key.pop_back();
  const size_t slash = key.find('/');
  std::string path = slash == std::string::npos ? "" : key.substr(slash + 1);
  if (path == "v1" || path == "v2") path.clear();
  return {key.substr(0, slash), path};
}

std::string TextAt(const nlohmann::json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

absl::StatusOr<Login> LoginIn(const std::string& source, const std::string& key,
                              const nlohmann::json& entry) {
  Login login{TextAt(entry, "username"), TextAt(entry, "password"), TextAt(entry, "identitytoken")};
  const std::string encoded = TextAt(entry, "auth");
  if (login.password.empty() && !encoded.empty()) {
    std::string decoded;
    const bool valid = absl::Base64Unescape(encoded, &decoded);
    const size_t colon = decoded.find(':');
    if (!valid || colon == std::string::npos) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: auth of {} is not user:password in base64", source, key);
    }
    login.user = decoded.substr(0, colon);
    login.password = decoded.substr(colon + 1);
  }
  if (login.password.empty() && login.identity_token.empty()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "{}: {} has neither password nor identitytoken; credential helpers are not asked",
                 source, key);
  }
  return login;
}

}  // namespace

absl::Status Credentials::Add(const std::string& source, const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto auths = json.is_object() ? json.find("auths") : json.end();
  if (!json.is_object() || auths == json.end() || !auths->is_object()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: no JSON with 'auths' in it", source);
  }
  for (const auto& [key, entry] : auths->items()) {
    if (!entry.is_object()) continue;
    GPUHOST_ASSIGN(Login login, LoginIn(source, key, entry));
    auto [host, path] = HostAndPath(key);
    entries_.push_back({std::move(host), std::move(path), std::move(login)});
  }
  return absl::OkStatus();
}

std::optional<Login> Credentials::Find(const std::string& host,
                                       const std::string& repository) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    const bool fits = entry.host == host && (entry.path.empty() || repository == entry.path ||
                                             repository.starts_with(entry.path + "/"));
    if (fits && (best == nullptr || entry.path.size() > best->path.size())) best = &entry;
  }
  return best == nullptr ? std::nullopt : std::optional(best->login);
}

}  // namespace gpuhost::kata_manager::artifacts
