// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <map>
#include <mutex>
#include <string>

#include "daemons/kata-manager/config.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::kata_manager::artifacts {

// Artefacts that could not be made use of, so that a pass a minute does not fetch and unpack them
// again and again. One that is broken stays so: it has a digest. A disk that was full is tried
// again after five minutes, then ten, up to six hours. Another digest, or another configuration, is
// something else. Safe to use from many threads.
class Setbacks {
 public:
  explicit Setbacks(Clock& clock) : clock_(clock) {}

  // OK to try; else why not, with the reason of the last time.
  absl::Status Check(const RuntimeClass& entry, const Config& config, const std::string& digest);
  // How it came out. `for_good`: the artefact itself is at fault. kCancelled tells nothing.
  void Tell(const RuntimeClass& entry, const Config& config, const std::string& digest,
            const absl::Status& status, bool for_good);

 private:
  struct Setback {
    RuntimeClass entry;
    Config config;
    std::string digest;
    absl::Status status;
    bool for_good = false;
    Duration pause{};
    TimePoint until;
  };
  Setback* Find(const RuntimeClass& entry, const Config& config, const std::string& digest);

  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Setback> by_class_;
};

}  // namespace gpuhost::kata_manager::artifacts
