// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio_manager {

enum class Verb {
  kBind,
  kUnbind,
  kRun,
  kUninstall,  // driver-manager uninstall_driver: take GPUs from nvidia and nouveau
};

enum class Switches { kNo, kYes, kAuto };  // auto: where the node's mode is protected PCIe

enum class OnExit { kLeave, kUnbindIdle, kUnbindAll };

struct Options {
  Verb verb = Verb::kBind;
  bool all = false;
  std::vector<std::string> devices;  // addresses as typed; used when not `all`
  Switches nvswitches = Switches::kAuto;
  std::vector<std::string> allow, deny;     // addresses or ids as typed
  vfio::Goal to = vfio::Goal::kDriverless;  // of kUnbind
  bool foreign = false;
  bool force = false;
  bool console = false;
  vfio::Backend backend = vfio::Backend::kAuto;
  bool keep_awake = true;
  OnExit on_exit = OnExit::kLeave;  // of kRun
  std::string validation_files;     // directory to write the operator's files to; empty: none
  bool dry_run = false;
  bool json = false;
  bool compat_exit = false;     // exit status 0 whatever happens to devices
  std::string root = "/";       // where /sys, /proc, /dev and /run are looked for
  std::string host_root = "/";  // root directory in which modprobe runs
  bool verbose = false;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed). What the program is called matters: as `driver-manager` it takes that
// program's commands, and a name with blanks ("vfio-manage unbind --all") is a whole command line.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::vfio_manager
