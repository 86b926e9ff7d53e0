// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/service/metrics.h"
#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

void DescribeMetrics(service::Metrics& metrics);

// The numbers of a pass that has just ended.
void CountPass(const Deps& deps, const Options& options, const Config& config, const Report& report,
               service::Metrics& metrics);

}  // namespace gpuhost::kata_manager
