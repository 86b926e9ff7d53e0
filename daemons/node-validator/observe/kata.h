// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/containerd.h"

namespace gpuhost::node_validator {

// A file that a Kata configuration names.
struct Artefact {
  std::string key;       // "kernel", "image", ...
  std::string path;      // as the configuration says
  std::string target;    // where its links lead to, as far as they lead
  absl::Status present;  // kNotFound: it, or the end of its links, is not there
  Entry entry;
  std::string problem;  // it is not what it should be: "no kernel: it begins with ..."
};

// An image whose blocks the guest's kernel verifies.
// Codes of the statuses: kInvalidArgument the parameters cannot be used, kDataLoss it is not what
// the configuration says; any other: it could not be compared.
struct VerifiedImage {
  std::string path;
  std::string key;      // that has the parameters: "kernel_verity_params"
  absl::Status top;     // the top of its hash tree
  absl::Status blocks;  // all of its blocks, where that was asked for
  uint64_t data_blocks = 0;
};

// How closely is looked: deeply, images are read as a whole and the hypervisor is started for a
// moment.
enum class Depth { kQuick, kDeep };

// A runtime handler with what it would start.
struct KataRuntime {
  Handler handler;
  bool rust = false;  // runtime-rs
  Artefact shim;
  std::string config_file;          // with links followed
  absl::Status config;              // whether it and its drop-ins could be read
  std::vector<std::string> strays;  // in config.d and no regular file
  Value merged;                     // as the runtime puts it together
  std::string hypervisor;           // "qemu": which table of `hypervisor` is there
  std::vector<Artefact> artefacts;
  std::vector<VerifiedImage> verified;
  std::string shim_version;
  std::string pod_socket;  // the kubelet's, where it asks; with links followed
  Known<std::string> qemu_version = absl::UnavailableError("its program was not tried");

  // A key of its hypervisor's table, of its runtime's, of its agent's.
  std::optional<std::string> Text(std::string_view key) const;
  bool Flag(std::string_view key) const;
  std::optional<int64_t> Number(std::string_view key) const;
  bool Confidential() const { return Flag("confidential_guest"); }
  bool ForSnp() const { return Flag("sev_snp_guest"); }
  bool ForGpus() const;
};

struct Kata {
  std::vector<KataRuntime> runtimes;  // all of Kata's handlers
  std::string packaged_version;       // by /opt/kata/versions.yaml
  std::vector<std::string> shipped;   // configuration-*nvidia* below share/defaults
  bool installed = false;             // /opt/kata is there
  bool old_pid_file = false;          // of the GPU Operator's former kata-manager
};

Kata ObserveKata(const Tree& tree, Questions& questions, const Containerd& containerd, Depth depth);

}  // namespace gpuhost::node_validator
