// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <compare>
#include <set>
#include <string>
#include <utility>

#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {

// What stands in the way, found anew by every pass and logged when it was not there the pass
// before.
class Problems {
 public:
  // `text` is constant; `subject` says of what.
  void Add(service::Level level, std::string text, std::string subject, std::string reason) {
    now_.insert({level, std::move(text), std::move(subject), std::move(reason)});
  }
  void Add(std::string text, std::string subject, const absl::Status& status) {
    if (!status.ok())
      Add(service::Level::kError, std::move(text), std::move(subject), Text(status));
  }

  // Ends a pass.
  void Report() {
    for (const Problem& problem : now_) {
      if (before_.contains(problem)) continue;
      service::Log(problem.level, problem.text,
                   {{"what", problem.subject}, {"reason", problem.reason}});
    }
    before_.swap(now_);
    now_.clear();
  }

 private:
  struct Problem {
    service::Level level;
    std::string text, subject, reason;
    auto operator<=>(const Problem&) const = default;
  };
  std::set<Problem> before_, now_;
};

}  // namespace gpuhost::sandbox_device_plugin
