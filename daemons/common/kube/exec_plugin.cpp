// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/exec_plugin.h"

#include <absl/strings/escaping.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "daemons/common/kube/json_access.h"
#include "libgpuhost/base/command.h"

namespace gpuhost::kube {
namespace {

constexpr Duration kLimit = std::chrono::seconds(30);
constexpr size_t kLongestOutput = 1 << 20;

// What the plugin is told: that nobody sits here, and for whom the credential is.
std::string ExecInfo(const Endpoint& endpoint) {
  Json spec{{"interactive", false}};
  if (endpoint.exec->wants_cluster) {
    Json cluster{{"server", endpoint.server}};
    if (!endpoint.ca_pem.empty()) {
      cluster["certificate-authority-data"] = std::string(absl::Base64Escape(endpoint.ca_pem));
    }
    if (!endpoint.server_name.empty()) cluster["tls-server-name"] = endpoint.server_name;
    if (!endpoint.proxy.empty()) cluster["proxy-url"] = endpoint.proxy;
    spec["cluster"] = cluster;
  }
  return Dump(
      {{"apiVersion", endpoint.exec->api_version}, {"kind", "ExecCredential"}, {"spec", spec}});
}

std::vector<std::string> Environment(const Endpoint& endpoint) {
  std::vector<std::string> result = endpoint.exec->environment;
  result.push_back("KUBERNETES_EXEC_INFO=" + ExecInfo(endpoint));
  // Ours come first and win, for most programs take the first of two.
  const auto given = [&](const std::string& variable) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    return std::ranges::any_of(result, [&](const auto& own) { return own.starts_with(name); });
  };
  std::vector<std::string> inherited;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (!given(*variable)) inherited.emplace_back(*variable);
  }
  result.insert(result.end(), inherited.begin(), inherited.end());
  return result;
}

absl::Status Refuse(std::string_view reason) {
  return Error(absl::StatusCode::kInvalidArgument, "what it prints is no credential: {}", reason);
}

// A header takes no other characters.
bool IsToken(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::optional<std::time_t> ParseTime(std::string_view text) {
  std::tm time{};
  int end = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &end) != 6) {
    return std::nullopt;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  std::string_view rest = text.substr(static_cast<size_t>(end));
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of("0123456789"), rest.size()));
  }
  const std::time_t local = ::timegm(&time);
  if (rest == "Z" || rest == "z") return local;
  int hours = 0, minutes = 0;
  char sign = 0;
  if (rest.size() != 6 ||
      std::sscanf(std::string(rest).c_str(), "%c%2d:%2d", &sign, &hours, &minutes) != 3 ||
      (sign != '+' && sign != '-')) {
    return std::nullopt;
  }
  const std::time_t offset = hours * 3600 + minutes * 60;
  return sign == '+' ? local - offset : local + offset;
}

absl::StatusOr<Credential> ParseCredential(std::string_view output, std::string_view api_version) {
  const Json json = ParseJson(output);
  if (TextOf(json, "kind") != "ExecCredential") return Refuse("it is no ExecCredential");
  if (const std::string version = TextOf(json, "apiVersion"); version != api_version) {
    return Refuse(fmt::format("it has apiVersion '{}' and not {}", version, api_version));
  }
  const Json& status = Member(json, "status");
  Credential credential{.token = TextOf(status, "token"),
                        .certificate_pem = TextOf(status, "clientCertificateData"),
                        .key_pem = TextOf(status, "clientKeyData"),
                        .expires = {}};
  if (credential.certificate_pem.empty() != credential.key_pem.empty()) {
    return Refuse("clientCertificateData and clientKeyData go together, one of them is missing");
  }
  if (credential.token.empty() && credential.key_pem.empty()) {
    return Refuse("it has neither token nor client certificate");
  }
  if (!IsToken(credential.token)) return Refuse("its token has characters that no token has");
  const Json& expires = Member(status, "expirationTimestamp");
  if (expires.is_null()) return credential;
  credential.expires = ParseTime(TextOf(status, "expirationTimestamp"));
  if (!credential.expires) return Refuse("its expirationTimestamp is no time");
  return credential;
}

absl::StatusOr<Credential> RunPlugin(const Endpoint& endpoint) {
  const ExecPlugin& plugin = *endpoint.exec;
  GPUHOST_ASSIGN(const std::string output, OutputOf(kLimit, {.path = plugin.command,
                                                             .arguments = plugin.arguments,
                                                             .environment = Environment(endpoint),
                                                             .longest_output = kLongestOutput}));
  auto credential = ParseCredential(output, plugin.api_version);
  if (!credential.ok()) return Annotate(credential.status(), "run " + plugin.command);
  return credential;
}

}  // namespace gpuhost::kube
