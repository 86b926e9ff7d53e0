// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/reference.h"

#include <absl/strings/ascii.h>

#include <regex>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr size_t kLongest = 512;

bool Matches(const std::string& text, const char* pattern) {
  return std::regex_match(text, std::regex(pattern));
}

absl::Status Refuse(const std::string& text, std::string_view why) {
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no artefact: {}; write registry/repository@sha256:...", text, why);
}

// Without "https://" and "user:password@" before the host.
std::string WithoutLogin(const std::string& text) {
  const size_t scheme = text.find("://");
  const std::string rest = scheme == std::string::npos ? text : text.substr(scheme + 3);
  const size_t at = rest.substr(0, rest.find('/')).rfind('@');
  return at == std::string::npos ? rest : rest.substr(at + 1);
}

}  // namespace

std::string CanonicalHost(const std::string& host) {
  const std::string lower = absl::AsciiStrToLower(host);
  const bool is_docker = lower == "index.docker.io" || lower == "registry-1.docker.io";
  return is_docker ? "docker.io" : lower;
}

bool IsDigest(const std::string& text) { return Matches(text, "sha256:[0-9a-f]{64}"); }

absl::StatusOr<Reference> ParseReference(const std::string& text) {
  if (text.size() > kLongest) return Refuse(text.substr(0, 64) + "...", "it is too long");
  const size_t slash = text.find('/');
  if (const std::string plain = WithoutLogin(text); plain != text) {
    return Refuse(plain, "there is a scheme or a login before it; logins are for pullSecret");
  }
  if (slash == std::string::npos) return Refuse(text, "there is no / in it");
  Reference reference{.host = text.substr(0, slash), .repository = {}, .tag = {}, .digest = {}};
  const bool is_host =
      reference.host.find_first_of(".:") != std::string::npos || reference.host == "localhost";
  // A name, IPv4, or IPv6 in brackets, as distribution/reference 0.6 has it.
  if (!is_host ||
      !Matches(reference.host, R"(([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?)")) {
    return Refuse(text, "it does not begin with a registry's name");
  }
  std::string rest = text.substr(slash + 1);
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    reference.digest = rest.substr(at + 1);
    rest.resize(at);
    if (!IsDigest(reference.digest)) return Refuse(text, "its digest is not sha256");
  }
  if (const size_t colon = rest.rfind(':'); colon != std::string::npos) {
    reference.tag = rest.substr(colon + 1);
    rest.resize(colon);
    if (!Matches(reference.tag, "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")) {
      return Refuse(text, "its tag is none");
    }
  }
  reference.repository = rest;
  const char* component =
      "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*";
  if (!Matches(rest, component)) return Refuse(text, "its repository's name is none");
  reference.host = CanonicalHost(reference.host);
  if (reference.IsDockerHub() && rest.find('/') == std::string::npos) {
    reference.repository = "library/" + rest;
  }
  if (reference.Version().empty()) return Refuse(text, "it has neither digest nor tag");
  return reference;
}

}  // namespace gpuhost::kata_manager::artifacts
