// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// A plan for people, a block per unit, and for programs. Both end with a newline.
std::string RenderText(const std::vector<UnitOutcome>& outcomes);
std::string RenderJson(const std::vector<UnitOutcome>& outcomes);

// "0000:41:00.0 0000:42:00.0"
std::string NamesOf(const vfio::Unit& unit);

}  // namespace gpuhost::vfio_manager
