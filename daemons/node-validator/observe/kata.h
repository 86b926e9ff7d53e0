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

// dm-verity parameters of a guest image.
// Source: Kata Containers, virtcontainers/kernel_verity.go; Linux, dm-verity.rst.
struct Verity {
  std::string root_hash, salt;
  uint64_t data_blocks = 0, data_block_size = 0, hash_block_size = 0;
};
absl::StatusOr<Verity> ParseVerity(const std::string& text);

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
  absl::Status verity;  // kUnavailable: not checked, kDataLoss: the image is another one
  bool has_verity = false;
  std::string shim_version;

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

Kata ObserveKata(const Tree& tree, Questions& questions, const Containerd& containerd);

}  // namespace gpuhost::node_validator
