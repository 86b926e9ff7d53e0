// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/cdi.h"
#include "daemons/node-validator/observe/cluster.h"
#include "daemons/node-validator/observe/containerd.h"
#include "daemons/node-validator/observe/devices.h"
#include "daemons/node-validator/observe/kata.h"
#include "daemons/node-validator/observe/kubelet.h"
#include "daemons/node-validator/observe/tee.h"

namespace gpuhost::node_validator {

enum class Workload { kConfidential, kPassthrough };

// The other party's files of readiness, below /run/nvidia/validations.
struct OperatorFacts {
  bool directory = false;
  std::string workload_type;  // "vm-passthrough"
  bool vfio_ready = false, manager_ready = false;
};

struct Space {
  std::string path;
  uint64_t bytes = 0, inodes = 0, all_inodes = 0;
};

// Everything that checks depend on, at one moment.
struct Facts {
  std::string name;  // of the node
  Depth depth = Depth::kQuick;
  Workload workload = Workload::kConfidential;
  std::vector<std::string> only_handlers;  // to look at; empty: those that fit
  Host host;
  TeeFacts tee;
  Devices devices;
  Containerd containerd;
  Kata kata;
  KubeletFacts kubelet;
  CdiFacts cdi;
  OperatorFacts gpu_operator;
  ClusterFacts cluster;
  std::vector<Space> space;

  bool Amd() const;
  bool Intel() const;
  // The handlers that a GPU pod on this node would use.
  std::vector<const KataRuntime*> Runtimes() const;
};

// Reads only, apart from what `questions` ask.
Facts Observe(const Tree& tree, Questions& questions, Depth depth = Depth::kQuick);

}  // namespace gpuhost::node_validator
