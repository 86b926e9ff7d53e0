// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

#include "daemons/common/service/log.h"
#include "daemons/sandbox-device-plugin/inventory.h"
#include "daemons/sandbox-device-plugin/partition.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

struct Options {
  std::string root = "/";  // where /sys, /dev and the directories below are looked for
  std::string kubelet_dir = "/var/lib/kubelet/device-plugins";
  std::string cdi_dir = "/var/run/cdi";
  std::string pod_resources_socket = "/var/lib/kubelet/pod-resources/kubelet.sock";
  std::string plugins_registry = "/var/lib/kubelet/plugins_registry";
  bool plugin_watcher = false;  // be found there by the kubelet, instead of registering
  Ids ids = Ids::kNumber;
  bool require_iommufd = false;
  bool check_start = false;
  bool environment = false;  // for KubeVirt
  bool reset_after_release = false;
  bool empty_list_at_end = false;
  // Whether the labels of our Kubernetes node say when devices may be given away.
  enum class NodeLabels { kAuto, kAlways, kNever } node_labels = NodeLabels::kAuto;
  std::string node_name;
  std::string kubeconfig;
  Duration labels_patience = Duration::zero();  // zero: for ever
  std::string metrics;  // "127.0.0.1:9400": where /metrics and /healthz are; empty: nowhere
  service::Level log_level = service::Level::kInfo;
  Naming naming;
  Partitions partitions;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::sandbox_device_plugin
