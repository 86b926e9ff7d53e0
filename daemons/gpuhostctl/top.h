// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "daemons/common/service/status_document.h"

namespace gpuhost::gpuhostctl {

// One picture of what cc-manager does: the phase, for whom it waits, and for each device how far it
// is. `columns` wide at most; with `color`, in the sixteen colours of any terminal.
std::string RenderTop(const service::StatusDocument& document, bool alive, size_t columns,
                      bool color);

}  // namespace gpuhost::gpuhostctl
