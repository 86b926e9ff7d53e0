// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "test/apiserver/query.h"
#include "test/apiserver/store.h"

namespace gpuhost::apiserver {

// The notices beside objects. Not safe to use from many threads.
class Events {
 public:
  Answer Create(const Query& query);
  Answer List(const Query& query) const;
  std::vector<std::string> Texts() const;

 private:
  std::vector<Json> events_;
};

}  // namespace gpuhost::apiserver
