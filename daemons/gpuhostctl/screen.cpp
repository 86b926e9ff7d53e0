// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace gpuhost::gpuhostctl {

Screen OurScreen() {
  Screen screen{.terminal = ::isatty(STDOUT_FILENO) == 1};
  winsize size{};
  if (screen.terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    screen.columns = size.ws_col;
  }
  const char* no_color = std::getenv("NO_COLOR");
  screen.color = screen.terminal && (no_color == nullptr || *no_color == '\0');
  return screen;
}

void KeepShowing(const Screen& screen, Clock& clock, Duration period,
                 const std::function<std::string()>& render) {
  if (!screen.terminal) {
    fmt::print("{}", render());
    return;
  }
  constexpr const char* kHomeAndClear = "\033[H\033[J";
  for (std::string shown; true; clock.SleepFor(period)) {
    std::string now = render();
    if (now == shown) continue;
    fmt::print("{}{}", kHomeAndClear, now);
    std::fflush(stdout);
    shown = std::move(now);
  }
}

}  // namespace gpuhost::gpuhostctl
