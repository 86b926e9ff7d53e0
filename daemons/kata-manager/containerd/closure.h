// SPDX-License-Identifier: Apache-2.0
//
// All files that containerd reads when it starts: the main file, what that imports, and what those
// import. Its `config dump` passes over an entry that names no file in 2.1, 2.2 and 2.3, where the
// program itself does not start ("open /x.toml: no such file or directory"; tried with 2.1.9, 2.2.9
// and 2.3.7; in 1.6.20 and 1.7.35 both fail).
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "daemons/kata-manager/containerd/location.h"

namespace gpuhost::kata_manager::containerd {

struct ReadFile {
  std::string path;  // as containerd sees it
  std::string importer;
  absl::StatusOr<std::string> text;
};

// In the order in which containerd takes them; the main file, if there is one, first. `fs` has the
// main file and what is below its directory, `host` all others.
std::vector<ReadFile> ReadClosure(const HostFs& fs, const HostFs& host, const Location& where);

// kFailedPrecondition when containerd could not read one of them, and so would not start: names the
// file, who imports it, and what to do. `but_for`: a file that is about to be written, or its
// import to go; empty: none.
absl::Status CheckImports(const std::vector<ReadFile>& closure, const std::string& but_for);

}  // namespace gpuhost::kata_manager::containerd
