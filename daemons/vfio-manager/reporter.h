// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <vector>

#include "daemons/common/service/status_document.h"
#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// Tells the log what differs from the pass before, and keeps the status document and, where wanted,
// the operator's validation files as they are to be: what somebody else has removed or changed is
// written again, and nothing else.
class Reporter {
 public:
  // `validation_files`: a directory; empty: none.
  Reporter(HostFs& fs, std::string validation_files)
      : fs_(fs), validation_files_(std::move(validation_files)) {}

  void Report(const absl::StatusOr<std::vector<UnitOutcome>>& pass);

 private:
  struct Line {
    std::string driver, error;
    bool operator==(const Line&) const = default;
  };

  bool IsPublished(const service::StatusDocument& document) const;
  void Tell(const std::string& bdf, const Line& now, const std::string& planned_from);

  HostFs& fs_;
  const std::string validation_files_;
  std::map<std::string, Line> last_;  // by address; "" for the whole machine
  bool first_ = true;
  std::string unwritten_;  // why a file could not be written last time
};

// What the operator's validator writes where it runs: `workload-type`, and `vfio-pci-ready`, which
// is there while guests can be started. Writes what is not so, and does nothing when `directory` is
// empty.
absl::Status WriteValidationFiles(HostFs& fs, const std::string& directory, bool ready);

// Whether every GPU of the pass is on VFIO, so that guests can be started.
bool AllBound(const absl::StatusOr<std::vector<UnitOutcome>>& pass);

}  // namespace gpuhost::vfio_manager
