// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "daemons/kata-manager/change.h"
#include "daemons/kata-manager/containerd/handler.h"
#include "daemons/kata-manager/containerd/location.h"

namespace gpuhost::kata_manager::containerd {

// The program's version, as far as it matters; 2.2 is {2, 2}.
struct Version {
  int major = 0, minor = 0;
  auto operator<=>(const Version&) const = default;
};
// From what `containerd --version` says. kDataLoss when there is none in it.
absl::StatusOr<Version> ParseVersion(const std::string& said);

struct Observed {
  Location where;
  std::optional<std::string> main, file;  // the bytes of the main file and of ours
  std::optional<Version> version;         // of the program; empty: not asked
  Flat bare;                              // what it makes of them without us; empty: not asked
  // Of k0s: what it has made of all drop-ins, ours among them; empty: nothing yet, or no k0s.
  std::optional<std::string> merged;
};
// Reads the files, and asks nothing of the program.
absl::StatusOr<Observed> Observe(const HostFs& fs, const Location& where);

// In the order in which they must be written, so that containerd can start at any moment between
// two of them.
struct Plan {
  std::vector<FileChange> changes;
  std::vector<Handler> handlers;  // that containerd must have afterwards
  std::vector<std::string> ours;  // names of those that were ours before, or are
  bool merged = false;            // our file reaches containerd through Location::merged
};

// What makes `handlers` ours and no others. Pure. Without handlers and without a trace of ours the
// plan is empty, whatever else is there.
//   kFailedPrecondition  this containerd's files do not allow it; the text says what to do
//   kUnimplemented       a schema that is not known
absl::StatusOr<Plan> MakePlan(const Observed& observed, const std::vector<Handler>& handlers);

// The main file as it would be without us. The errors of WithoutImport.
absl::StatusOr<std::optional<std::string>> MainWithoutUs(const Observed& observed);

// An import of the main file as an absolute path that containerd understands.
std::string Absolute(const Location& where, const std::string& import);
// Our file, likewise.
std::string OwnFileSeen(const Location& where);
// Whether an import, absolute, has `path` read: by its name or by a pattern.
bool Covers(const std::string& import, const std::string& path);

}  // namespace gpuhost::kata_manager::containerd
