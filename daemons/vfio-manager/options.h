// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace gpuhost::vfio_manager {

enum class Verb { kBind, kUnbind, kRun };

struct Options {
  Verb verb = Verb::kBind;
  bool all = false;
  std::vector<std::string> devices;  // addresses as typed; used when not `all`
  bool nvswitches = false;
  bool dry_run = false;
  std::string root = "/";       // where /sys, /proc and /run are looked for
  std::string host_root = "/";  // root directory in which modprobe runs
  bool verbose = false;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::vfio_manager
