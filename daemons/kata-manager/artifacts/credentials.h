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
  // Adds those of one file; `source` names it in errors. kInvalidArgument when it is none, or its
  // passwords are with a credential helper, which is not asked.
  absl::Status Add(const std::string& source, const std::string& json);

  // The one for a repository: that with the longest path, of the first file that has one. Keys may
  // be hosts, URLs of hosts as Docker writes them, or hosts with a path.
  std::optional<Login> Find(const std::string& host, const std::string& repository) const;

 private:
  struct Entry {
    std::string host, path;
    Login login;
  };
  std::vector<Entry> entries_;
};

}  // namespace gpuhost::kata_manager::artifacts
