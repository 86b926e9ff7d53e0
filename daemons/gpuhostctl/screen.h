// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::gpuhostctl {

struct Screen {
  bool terminal = false;  // else a file or a pipe
  size_t columns = 80;
  bool color = false;  // a terminal, and $NO_COLOR is not set
};
// What standard output is.
Screen OurScreen();

// Shows what `render` says anew whenever it has changed, looking once in `period`, until the person
// interrupts it. Where standard output is no terminal it is shown once.
void KeepShowing(const Screen& screen, Clock& clock, Duration period,
                 const std::function<std::string()>& render);

}  // namespace gpuhost::gpuhostctl
