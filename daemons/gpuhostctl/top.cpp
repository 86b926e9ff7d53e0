// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/top.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::gpuhostctl {
namespace {

using service::DeviceStatus;
using service::StatusDocument;

constexpr const char *kGreen = "\033[32m", *kYellow = "\033[33m", *kRed = "\033[31m",
                     *kPlain = "\033[0m";
constexpr size_t kWidestBar = 40;

struct Progress {
  int percent;
  std::string_view word;
  const char* color;
};

// How far the phases of one change go; a device reports no more while its firmware boots.
Progress ProgressOf(const StatusDocument& document, const DeviceStatus& device) {
  if (!device.error.empty()) return {100, "failed", kRed};
  if (document.phase == "waiting") return {0, "waits", kYellow};
  if (document.phase == "withdrawing") return {20, "withdrawn", kYellow};
  if (document.phase == "arming") return {40, "arming", kYellow};
  if (document.phase == "resetting") return {60, "resetting", kYellow};
  if (document.phase == "failed") return {0, "as it was", kRed};
  return {100, "done", kGreen};
}

std::string Cut(const std::string& line, size_t columns) {
  return line.size() <= columns || columns < 4 ? line : line.substr(0, columns - 3) + "...";
}

std::string Bar(int percent, size_t width) {
  const size_t full = width * static_cast<size_t>(percent) / 100;
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

}  // namespace

std::string RenderTop(const StatusDocument& document, bool alive, size_t columns, bool color) {
  const auto painted = [&](const std::string& text, const char* paint) {
    return color ? paint + text + kPlain : text;
  };
  std::string head =
      fmt::format("mode {}: {}", document.target.empty() ? "?" : document.target, document.phase);
  if (!document.transition.empty()) head += fmt::format(" (transition {})", document.transition);
  std::string text = Cut(head, columns) + "\n";
  if (!document.reason.empty()) text += Cut(document.reason, columns) + "\n";
  if (!alive) text += painted("cc-manager does not run now; this is its last word", kRed) + "\n";

  // "0000:01:00.0  devtools  [" + bar + "]  resetting"
  constexpr size_t kBesideBar = 12 + 2 + 8 + 2 + 2 + 2 + 9;
  const size_t bar =
      std::clamp(columns > kBesideBar ? columns - kBesideBar : 0, size_t{8}, kWidestBar);
  for (const DeviceStatus& device : document.devices) {
    const Progress progress = ProgressOf(document, device);
    text += fmt::format("{:<12}  {:<8}  {}  {}\n", device.bdf,
                        device.state.empty() ? "?" : device.state,
                        painted(Bar(progress.percent, bar), progress.color), progress.word);
  }
  for (const DeviceStatus& device : document.devices) {
    if (!device.error.empty()) text += fmt::format("{}: {}\n", device.bdf, device.error);
  }
  return text;
}

}  // namespace gpuhost::gpuhostctl
