// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/containerd_merge.h"
#include "daemons/node-validator/observe/kubelet.h"

namespace gpuhost::node_validator {

// A runtime handler as containerd's configuration has it.
struct Handler {
  std::string name;
  std::string plugin;  // below which it is written
  std::string file;    // that says so, the last one
  std::string runtime_type;
  std::string runtime_path;
  std::string config_path;  // options.ConfigPath
  std::string snapshotter;
  std::string image_snapshotter;  // of the images plugin, where it says one for this handler
  std::vector<std::string> pod_annotations;
  bool no_host_devices = false;  // privileged_without_host_devices
};

// Kata's, by its type, shim or configuration.
bool IsKata(const Handler& handler);

struct BrokenFile {
  std::string path;
  std::string problem;
};

// A file that an `imports` entry names and that is not there.
struct MissingImport {
  std::string path;
  std::string importer;
};

// The service that runs it, as its unit and drop-ins say.
struct Unit {
  std::string path;
  std::map<std::string, std::string> settings;  // of [Service], the last word of each
};

struct Containerd {
  // Not OK: which one serves the kubelet, or whether one runs, cannot be told; nothing else counts.
  absl::Status known;
  std::string distribution;  // "k3s"; "" for a plain one
  std::string main_file, socket, program;
  bool main_file_there = false;
  std::optional<Process> process;  // `program` is a text to show
  Known<std::string> version_text = absl::UnavailableError("not asked");
  Version version;  // 0.0.0: unknown
  std::vector<ConfigFile> files;
  std::vector<BrokenFile> broken;
  std::vector<MissingImport> missing;
  Value merged;
  int schema = 0;
  Known<std::string> dump = absl::UnavailableError("not asked");
  std::vector<Handler> handlers;   // that containerd reads
  std::vector<Handler> misplaced;  // Kata's, below a plugin that this schema does not read
  std::vector<std::string> disabled_plugins;
  std::string default_runtime;
  std::set<std::string> proxy_snapshotters;
  std::map<std::string, std::string> snapshotter_sockets;
  std::optional<bool> cdi_enabled;
  std::vector<std::string> cdi_directories;
  bool systemd_cgroups = false;
  Known<std::string> running_handlers = absl::UnavailableError("not asked");
  int64_t changed = 0;  // when the youngest of `files` was written
  Unit unit;
  bool crio = false;  // the kubelet uses CRI-O

  bool present() const { return process || main_file_there || !program.empty(); }
};

// The one that serves this kubelet. Nothing is run whose path came from a process.
Containerd ObserveContainerd(const Tree& tree, Questions& questions, const KubeletFacts& kubelet);

}  // namespace gpuhost::node_validator
