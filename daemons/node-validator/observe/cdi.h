// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/host.h"

namespace gpuhost::node_validator {

struct CdiDevice {
  std::string name;                // "0"
  std::vector<std::string> nodes;  // paths
};

struct CdiSpec {
  std::string path;
  std::string kind, version;
  std::vector<CdiDevice> devices;
  std::string problem;  // why readers refuse it; empty: they do not
};

struct CdiFacts {
  std::vector<CdiSpec> specs;                // of /etc/cdi and /var/run/cdi
  std::map<std::string, bool> node_present;  // of those below /dev/vfio
};

// Source: container-device-interface, SPEC.md and pkg/cdi.
CdiFacts ObserveCdi(const Tree& tree);

}  // namespace gpuhost::node_validator
