// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

#include "daemons/common/service/log.h"
#include "daemons/sandbox-device-plugin/naming.h"

namespace gpuhost::sandbox_device_plugin {

struct Options {
  std::string root = "/";  // where /sys, /dev and the directories below are looked for
  std::string kubelet_dir = "/var/lib/kubelet/device-plugins";
  std::string cdi_dir = "/var/run/cdi";
  std::string pod_resources_socket = "/var/lib/kubelet/pod-resources/kubelet.sock";
  service::Level log_level = service::Level::kInfo;
  Naming naming;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::sandbox_device_plugin
