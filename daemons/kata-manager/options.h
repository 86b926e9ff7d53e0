// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace gpuhost::kata_manager {

enum class Verb {
  kRun,
  kPlan,
  kApply,
  kVerify,
  kStatus,
  kPull,
  kGc,
  kRollback,
  kUninstall,
  kPrintRuntimeClasses,
};

struct Options {
  Verb verb = Verb::kRun;
  std::string config_path;
  bool config_given = false;  // by the command line or the environment
  std::string artifacts_dir;  // where the configuration has none
  std::string pid_file;       // empty: none; of run
  bool load_modules = true;
  std::optional<bool> cdi_enabled;   // empty: as the configuration says
  std::string runtime;               // containerd, crio
  std::string containerd_config;     // empty: where this kind of containerd has it
  std::string containerd_directory;  // of that file on the host; empty: the same
  std::string containerd_socket;
  std::string crio_config;
  std::string name_space;  // of pull secrets; empty: our own
  std::string kubeconfig;
  std::string http_address;          // of metrics and probes; empty: none
  std::vector<std::string> classes;  // of pull and rollback; empty: all
  bool force = false;
  bool legacy = false;  // plan and uninstall: what NVIDIA's kata-manager left, and nothing of ours
  std::string root = "/";       // where /sys, /run, containerd's and our own files are looked for
  std::string host_root = "/";  // the host's file tree: Kata, containerd's program, modprobe
  bool verbose = false;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed). Called k8s-kata-manager it takes that program's options and environment
// and is `run`.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::kata_manager
