// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/containerd_merge.h"
#include "daemons/node-validator/observe/host.h"
#include "daemons/node-validator/observe/processes.h"

namespace gpuhost::node_validator {

struct KubeletFacts {
  // Not OK: whether it runs, or which process it is, cannot be told; nothing else counts.
  absl::Status known;
  std::optional<Process> process;
  std::string root;                // "/var/lib/kubelet"
  std::string config;              // its file
  std::string embedded_in;         // "k3s-server": it has no process of its own
  std::string distribution;        // of that: "k3s"
  std::string unit;                // the service that it, or what it is a part of, runs in
  std::string runtime_socket;      // of the container runtime that it is told to use; "" not told
  std::vector<std::string> files;  // read, in order
  absl::Status readable;
  Value merged;  // with the flags of the command line put over it
  Version version;
  std::string timeout_from;  // file, or "the command line"
  std::string socket;        // of pod-resources
  std::string real_socket;   // the same with links followed
  bool socket_there = false;
  Known<std::string> pod_resources_get = absl::UnavailableError("not asked");
  Known<std::map<std::string, std::vector<std::string>>> registered =
      absl::UnavailableError("not read");  // ids by resource, of device plugins
};

KubeletFacts ObserveKubelet(const Tree& tree, Questions& questions);

// Seconds of a duration as Go prints it ("20m", "1h5m", "1.5s", "0"); empty for none.
std::optional<double> ParseGoDuration(std::string_view text);

}  // namespace gpuhost::node_validator
