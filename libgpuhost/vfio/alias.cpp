// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/alias.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <tuple>

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr std::string_view kGeneric = "vfio_pci";

// "alias vfio_pci:PATTERN MODULE"
std::optional<Alias> ParseLine(std::string_view line) {
  constexpr std::string_view kStart = "alias vfio_pci:";
  if (!line.starts_with(kStart)) return std::nullopt;
  line.remove_prefix(kStart.size());
  const size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size()) {
    return std::nullopt;
  }
  return Alias{std::string(line.substr(0, blank)), std::string(line.substr(blank + 1))};
}

// Smaller is better.
auto Rank(const Alias& alias) {
  const auto stars = std::ranges::count(alias.pattern, '*');
  const auto spelled = std::ranges::count_if(
      alias.pattern, [](char c) { return c != '*' && c != '?' && c != '[' && c != ']'; });
  return std::tuple(stars, -spelled);
}

}  // namespace

bool IsGeneric(std::string_view module) { return module == kGeneric; }

absl::StatusOr<std::vector<Alias>> ReadAliases(const HostFs& fs) {
  GPUHOST_ASSIGN(const std::string release, fs.ReadAttribute("/proc/sys/kernel/osrelease"));
  const std::string path = fmt::format("/lib/modules/{}/modules.alias", release);
  GPUHOST_ASSIGN(const UniqueFd fd, fs.Open(path, O_RDONLY));
  std::vector<Alias> aliases;
  std::string rest;  // a line that is not complete yet; the file has megabytes
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0) return ErrnoStatus(errno, fmt::format("read {}", path));
    if (got == 0) break;
    std::string_view text(buffer, static_cast<size_t>(got));
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      const std::string_view line = text.substr(0, end);
      auto alias = rest.empty() ? ParseLine(line) : ParseLine(rest.append(line));
      if (alias) aliases.push_back(*std::move(alias));
      rest.clear();
      text.remove_prefix(end + 1);
    }
    rest.append(text);
  }
  if (auto alias = ParseLine(rest)) aliases.push_back(*std::move(alias));
  return aliases;
}

std::string BestModule(std::string_view modalias, std::span<const Alias> aliases) {
  constexpr std::string_view kBus = "pci:";
  if (!modalias.starts_with(kBus)) return std::string(kGeneric);
  const std::string device(modalias.substr(kBus.size()));
  const Alias* best = nullptr;
  for (const Alias& alias : aliases) {
    if (::fnmatch(alias.pattern.c_str(), device.c_str(), 0) != 0) continue;
    if (best == nullptr || Rank(alias) < Rank(*best)) best = &alias;
  }
  return best == nullptr ? std::string(kGeneric) : best->module;
}

}  // namespace gpuhost::vfio
