// SPDX-License-Identifier: Apache-2.0
//
// A check is a question to the facts, with its answer in words for whoever must act. Pure: it reads
// nothing but facts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/node-validator/observe/facts.h"

namespace gpuhost::node_validator {

// What a failure means for a confidential GPU pod.
enum class Severity {
  kFatal,     // it will not start
  kDegraded,  // it may start, and something is slower, less safe, or fails later
  kInfo,      // worth knowing
};
std::string_view ToString(Severity severity);

enum class State { kPass, kFail, kUnknown, kSkipped };
std::string_view ToString(State state);

struct Finding {
  State state = State::kPass;
  std::string observed;  // kUnknown, kSkipped: why
  std::string evidence;  // a path, mostly
  std::string subject;   // a handler, where a check is made for each
  // Where this case differs from what the check says in general.
  std::string expected, remedy;
  std::optional<Severity> severity;
};

using Findings = std::vector<Finding>;

struct Check {
  std::string_view id;  // "SNP-IOMMU"; never changes its meaning
  Severity severity;
  std::string_view title;  // what is asked, in a few words
  std::string_view expected;
  std::string_view remedy;              // what to do exactly
  std::string_view why;                 // for --explain: what depends on it, and where it is read
  std::vector<std::string_view> after;  // when one of these failed, that is the cause of this
  Findings (*examine)(const Facts&);
};

struct Group {
  std::string_view title;
  std::vector<Check> checks;
  // Where given and not OK, all of these checks are unknown: what they look at cannot be told. The
  // check by the other name says why.
  const absl::Status& (*known)(const Facts&) = nullptr;
  std::string_view known_by = {};
};

inline Finding Pass(std::string observed, std::string evidence = {}) {
  return {State::kPass, std::move(observed), std::move(evidence)};
}
inline Finding Fail(std::string observed, std::string evidence = {}) {
  return {State::kFail, std::move(observed), std::move(evidence)};
}
inline Finding Unknown(std::string why, std::string evidence = {}) {
  return {State::kUnknown, std::move(why), std::move(evidence)};
}
inline Finding Skip(std::string why) { return {State::kSkipped, std::move(why)}; }

// "/dev/sev is not there", or what else is the matter with a path.
std::string Trouble(const absl::Status& status, const std::string& path);

// "a, b and 3 more": at most `most` of them.
std::string Some(const std::vector<std::string>& names, size_t most = 4);

}  // namespace gpuhost::node_validator
