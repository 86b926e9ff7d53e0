// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace gpuhost::kata_manager::artifacts {

// A place in the web: the server without its default port, its name in lower case.
struct Url {
  std::string server;  // "https://host:5000"
  std::string path;    // with query: "/v2/..."

  // For a person and the log: a query may be a secret, as of addresses that are signed.
  std::string Shown() const { return server + path.substr(0, path.find('?')); }
  std::string Authority() const { return server.substr(server.find("://") + 3); }
  bool IsSecure() const { return server.starts_with("https://"); }
};

// What `reference` means in a document at `base`: "https://host/x", "//host/x", "/x", "x", "../x",
// "?q". kInvalidArgument for what is no address of http or https, and for one with a user name,
// without repeating it: it may be a secret. Source: RFC 3986, section 5.
absl::StatusOr<Url> ResolveUrl(const Url& base, const std::string& reference);

// "HOST:443" as an https URL has it: "host".
std::string NormalAuthority(const std::string& scheme, const std::string& authority);

}  // namespace gpuhost::kata_manager::artifacts
