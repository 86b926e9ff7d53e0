// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/rights.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::apiserver {
namespace {

bool Permits(const Rule& rule, const Query& query) {
  return rule.resource == query.resource && rule.verbs.contains(query.verb) &&
         (rule.name_space.empty() || rule.name_space == query.name_space);
}

Answer Forbidden(const std::string& user, const Query& query) {
  const std::string kind = query.resource.substr(0, query.resource.find('/')) +
                           (query.group.empty() ? "" : "." + query.group);
  const std::string scope = query.name_space.empty()
                                ? "at the cluster scope"
                                : fmt::format("in the namespace \"{}\"", query.name_space);
  return Failure(
      403, "Forbidden",
      fmt::format("{} {}is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}",
                  kind, query.name.empty() ? "" : "\"" + query.name + "\" ", user, query.verb,
                  query.resource, query.group, scope));
}

}  // namespace

std::string Rights::TokenOf(const std::string& user) const {
  return fmt::format("{}/{}", user, generation_);
}

std::string Rights::Admit(const std::string& user, std::vector<Rule> rules) {
  users_[user] = std::move(rules);
  return TokenOf(user);
}

std::optional<Answer> Rights::Refusal(const Query& query) const {
  for (const auto& [user, rules] : users_) {
    if (query.token != "Bearer " + TokenOf(user)) continue;
    if (query.path == kVersionPath) return std::nullopt;
    const bool permitted = std::any_of(rules.begin(), rules.end(),
                                       [&](const Rule& rule) { return Permits(rule, query); });
    return permitted ? std::nullopt : std::optional(Forbidden(user, query));
  }
  return Failure(401, "Unauthorized", "Unauthorized");
}

}  // namespace gpuhost::apiserver
