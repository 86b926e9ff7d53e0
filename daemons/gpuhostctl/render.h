// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "daemons/gpuhostctl/status.h"

namespace gpuhost::gpuhostctl {

// Aligned columns for a person; notes follow below the table.
std::string RenderTable(std::span<const Row> rows);

// {"schema": 1, "devices": [{...}]}, fields as in Row; unknown values are null.
std::string RenderJson(std::span<const Row> rows);

// The mode that every device is in; empty when they differ or one cannot be read.
std::string CommonMode(std::span<const Row> rows);
// That one word; where there is none, a line for each device.
std::string RenderMode(std::span<const Row> rows);
// {"schema": 1, "mode": "on" or null}
std::string RenderModeJson(std::span<const Row> rows);

}  // namespace gpuhost::gpuhostctl
