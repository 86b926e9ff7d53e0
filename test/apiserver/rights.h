// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "test/apiserver/query.h"
#include "test/apiserver/store.h"

namespace gpuhost::apiserver {

// Who may do what. Not safe to use from many threads.
class Rights {
 public:
  // What that user's token is now; the first call makes the user known.
  std::string Admit(const std::string& user, std::vector<Rule> rules);
  // Tokens given out so far are not valid any more.
  void Renew() { ++generation_; }
  // 401 or 403, or nothing.
  std::optional<Answer> Refusal(const Query& query) const;

 private:
  std::string TokenOf(const std::string& user) const;

  std::map<std::string, std::vector<Rule>> users_;
  int generation_ = 1;
};

}  // namespace gpuhost::apiserver
