// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

// Which units of a resource are being given away, and which were a moment ago: their pods are told
// by nobody yet. Outlives the servers of the resource. For many threads.
class Grants {
 public:
  // A request for `ids` has come. Noted before anything of it is decided, so that whoever withdraws
  // a unit after this, and looks here, finds it.
  void Begin(const std::vector<std::string>& ids);
  // It is about to be answered. What was refused is nobody's.
  void End(const std::vector<std::string>& ids, bool given, TimePoint now);

  struct Grant {
    size_t open = 0;                 // requests that are not answered
    std::optional<TimePoint> given;  // when it was given away last
  };
  std::map<std::string, Grant> Now() const;  // by id

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Grant> grants_;
};

}  // namespace gpuhost::sandbox_device_plugin
