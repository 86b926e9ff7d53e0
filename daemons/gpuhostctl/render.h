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

}  // namespace gpuhost::gpuhostctl
