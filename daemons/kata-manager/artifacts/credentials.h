// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

namespace gpuhost::kata_manager::artifacts {

// Never logged, never on a command line.
struct Login {
  std::string user, password;
  std::string identity_token;  // instead of a password
};

// What Docker's config.json, and so secrets of type kubernetes.io/dockerconfigjson, say of logins.
class Credentials {
 public:
  // Adds those of one file; `source` names it in errors. kInvalidArgument when it is none. Entries
  // are not judged before they are needed: other programs keep empty ones for credential helpers.
  absl::Status Add(const std::string& source, const std::string& json);

  // The one for a repository: that with the longest path, of the first file that has one. Keys may
  // be hosts, URLs of hosts as Docker writes them, hosts with a path, and patterns of hosts
  // ("*.example.com", as the kubelet takes them). kInvalidArgument when the entry for it is broken,
  // kFailedPrecondition when it is with a credential helper, which is not asked.
  absl::StatusOr<std::optional<Login>> Find(const std::string& host,
                                            const std::string& repository) const;

 private:
  struct Entry {
    std::string host, path;
    absl::StatusOr<Login> login;
  };
  // Of one key; null: of all.
  struct Helper {
    std::string source, host, program;
  };
  std::vector<Entry> entries_;
  std::vector<Helper> helpers_;
};

}  // namespace gpuhost::kata_manager::artifacts
