// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "test/apiserver/query.h"
#include "test/apiserver/store.h"

namespace gpuhost::apiserver {

// The pods and what protects them. Not safe to use from many threads.
class Pods {
 public:
  // Its uid, which no other pod ever has.
  std::string Add(const ScriptedPod& pod);
  // At once, also one that lingers.
  void Remove(const std::string& name_space, const std::string& name);
  void Add(const ScriptedBudget& budget) { budgets_.push_back(budget); }
  bool Contains(const std::string& name_space, const std::string& name) const;
  // Pages handed out so far cannot be continued.
  void Forget() { ++version_, forgotten_ = version_; }

  Answer Get(const Query& query) const;
  Answer List(const Query& query) const;
  Answer Delete(const Query& query);
  Answer Evict(const Query& query);

 private:
  struct Held {
    ScriptedPod pod;
    Json object;
  };
  using Key = std::pair<std::string, std::string>;  // namespace, name

  Answer End(const Key& key);
  std::vector<ScriptedBudget*> BudgetsOf(const ScriptedPod& pod);

  std::map<Key, Held> pods_;
  std::vector<ScriptedBudget> budgets_;
  uint64_t version_ = 1000, forgotten_ = 0;
  int uids_ = 0;
};

}  // namespace gpuhost::apiserver
