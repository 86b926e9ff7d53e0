// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpuhost::kata_manager::artifacts {

// What a server wants as proof, from WWW-Authenticate. Source: RFC 9110, section 11.6.1.
struct Challenge {
  std::string scheme;                             // in lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// All challenges of these header lines; what is malformed ends its line.
std::vector<Challenge> ParseChallenges(const std::string& lines);

// "user:password" for the scheme Basic.
std::string BasicAuthorization(const std::string& user, const std::string& password);

// `text` for a query of a URL.
std::string UrlEncoded(const std::string& text);

}  // namespace gpuhost::kata_manager::artifacts
