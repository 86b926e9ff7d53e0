// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/service/metrics.h"
#include "daemons/sandbox-device-plugin/plugin.h"

namespace gpuhost::sandbox_device_plugin {

// The families that Prometheus sees.
void DescribeMetrics(service::Metrics& metrics);

// What is to be told after a pass.
struct Readings {
  std::vector<Plugin::Resource> resources;
  std::map<pci::Bdf, pci::AerErrors> errors;
  Plugin::CdiFiles cdi_files;
  Duration pass{};  // how long it took
};
void SetMetrics(service::Metrics& metrics, const Readings& readings);

// Whether every resource that has devices has a kubelet that follows its list.
bool IsReady(const std::vector<Plugin::Resource>& resources);

}  // namespace gpuhost::sandbox_device_plugin
