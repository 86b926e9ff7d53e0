// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "test/apiserver/script.h"

namespace gpuhost::apiserver {

// Which requests are to fail. Not safe to use from many threads.
class Faults {
 public:
  void Add(Fault fault) { faults_.push_back(std::move(fault)); }
  void Clear() { faults_.clear(); }

  // The fault for this request ("GET /api/v1/nodes/x"), one time of which is used up by it.
  std::optional<Fault> Take(const std::string& request) {
    const auto found = std::find_if(faults_.begin(), faults_.end(), [&](const Fault& fault) {
      return fault.times > 0 && request.find(fault.match) != std::string::npos;
    });
    if (found == faults_.end()) return std::nullopt;
    --found->times;
    return *found;
  }

 private:
  std::vector<Fault> faults_;
};

}  // namespace gpuhost::apiserver
