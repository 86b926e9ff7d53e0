// SPDX-License-Identifier: Apache-2.0
//
// Which of a node's containerds serves the kubelet. There may be several: Docker's own beside that
// of k3s, others inside containers.
#pragma once

#include "daemons/node-validator/observe/kubelet.h"

namespace gpuhost::node_validator {

// Where a distribution keeps it.
struct Place {
  std::string_view distribution;  // "k3s"; "" for a plain one
  std::string_view main_file, socket;
  std::string_view unit;     // a pattern
  std::string_view service;  // that is there in most cases
  std::string_view program;
};

struct Which {
  std::optional<Process> process;  // empty: it does not run, or `known` says why it is not known
  absl::Status known;              // not OK: names the processes that it may be
  Place place;
  bool crio = false;  // the kubelet's runtime is CRI-O, or no containerd runs and CRI-O does
};

// By the socket that the kubelet is told to use: the process that the kernel says listens there,
// else the one of the kubelet's own service, else the one that is configured to listen there.
Which WhichContainerd(const Tree& tree, Questions& questions, const KubeletFacts& kubelet);

}  // namespace gpuhost::node_validator
