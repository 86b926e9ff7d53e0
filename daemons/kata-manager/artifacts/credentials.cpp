// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/credentials.h"

#include <absl/strings/escaping.h>

#include <nlohmann/json.hpp>

#include "daemons/kata-manager/artifacts/reference.h"
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
                 "{}: {} has neither password nor identitytoken", source, key);
  }
  return login;
}

// Whether a host is one of a pattern, in which * stands for some of the characters between two
// dots.
bool Matches(std::string_view pattern, std::string_view host) {
  if (pattern.empty() || host.empty()) return pattern.empty() && host.empty();
  if (pattern[0] != '*') {
    return pattern[0] == host[0] && Matches(pattern.substr(1), host.substr(1));
  }
  for (size_t taken = 0; taken <= host.size(); ++taken) {
    if (Matches(pattern.substr(1), host.substr(taken))) return true;
    if (taken < host.size() && (host[taken] == '.' || host[taken] == ':')) return false;
  }
  return pattern.size() == 1 && host.empty();
}

}  // namespace

absl::Status Credentials::Add(const std::string& source, const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: it is no JSON object", source);
  }
  const auto part = [&](const char* key) { return json.value(key, nlohmann::json::object()); };
  const auto auths = part("auths"), helpers = part("credHelpers");
  if (!auths.is_object()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: its 'auths' are no object", source);
  }
  for (const auto& [key, entry] : auths.items()) {
    if (!entry.is_object()) continue;
    auto [host, path] = HostAndPath(key);
    entries_.push_back({CanonicalHost(host), std::move(path), LoginIn(source, key, entry)});
  }
  if (helpers.is_object()) {
    for (const auto& [key, program] : helpers.items()) {
      if (!program.is_string()) continue;
      helpers_.push_back({source, CanonicalHost(HostAndPath(key).first), program});
    }
  }
  if (const std::string all = TextAt(json, "credsStore"); !all.empty()) {
    helpers_.push_back({source, "", all});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Login>> Credentials::Find(const std::string& host,
                                                       const std::string& repository) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    const bool fits =
        Matches(entry.host, host) && (entry.path.empty() || repository == entry.path ||
                                      repository.starts_with(entry.path + "/"));
    if (!fits) continue;
    const bool better =
        best == nullptr || entry.login.ok() > best->login.ok() ||
        (entry.login.ok() == best->login.ok() && entry.path.size() > best->path.size());
    if (better) best = &entry;
  }
  if (best != nullptr && best->login.ok()) return std::optional(*best->login);
  for (const Helper& helper : helpers_) {
    if (!helper.host.empty() && helper.host != host) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: the login for {} is with docker-credential-{}, which is not asked; put it "
                 "into the file, or take another one",
                 helper.source, host, helper.program);
  }
  if (best != nullptr) return best->login.status();
  return std::nullopt;
}

}  // namespace gpuhost::kata_manager::artifacts
