// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/service/metrics.h"
#include "daemons/sandbox-device-plugin/plugin.h"

namespace gpuhost::sandbox_device_plugin {

// The families that Prometheus sees.
void DescribeMetrics(service::Metrics& metrics);

// The numbers after a pass, which took `pass`.
void SetMetrics(service::Metrics& metrics, const std::vector<Plugin::Resource>& resources,
                Duration pass);

// Whether every resource that has devices has a kubelet that follows its list.
bool IsReady(const std::vector<Plugin::Resource>& resources);

}  // namespace gpuhost::sandbox_device_plugin
