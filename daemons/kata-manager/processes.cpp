// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/processes.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {

std::vector<std::string> ProcessIds(const HostFs& fs) {
  auto names = fs.List("/proc").value_or(std::vector<std::string>());
  std::erase_if(names, [](const std::string& name) { return !ParseDecimal(name); });
  return names;
}

std::vector<std::string> ArgumentsOf(const HostFs& fs, const std::string& pid) {
  std::string text = fs.Read(fmt::format("/proc/{}/cmdline", pid)).value_or("");
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    words.push_back(text.substr(0, end));
    text.erase(0, end + 1);
  }
  return words;
}

Owner OwnerOf(const HostFs& fs, const std::string& pid) {
  const auto status = fs.Read(fmt::format("/proc/{}/status", pid));
  if (!status.ok()) {
    return fs.Exists("/proc/" + pid) && !absl::IsNotFound(status.status()) ? Owner::kUnknown
                                                                           : Owner::kGone;
  }
  std::istringstream lines(*status);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("Uid:")) continue;
    std::istringstream words(line.substr(4));
    int ids = 0;
    for (std::string id; words >> id; ++ids) {
      if (id != "0") return Owner::kOther;
    }
    return ids == 4 ? Owner::kRoot : Owner::kUnknown;
  }
  return Owner::kUnknown;
}

std::string ProgramOf(const HostFs& fs, const std::string& pid) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string exe = fs.ReadLink(fmt::format("/proc/{}/exe", pid)).value_or("");
  if (exe.ends_with(kDeleted)) exe.resize(exe.size() - kDeleted.size());
  return exe.substr(exe.rfind('/') + 1);
}

bool IsRunning(const HostFs& fs, const std::string& program) {
  const std::string self = std::to_string(::getpid());
  return std::ranges::any_of(ProcessIds(fs), [&](const std::string& pid) {
    if (pid == self || ProgramOf(fs, pid) != program) return false;
    const Owner owner = OwnerOf(fs, pid);
    return owner == Owner::kRoot || owner == Owner::kUnknown;
  });
}

}  // namespace gpuhost::kata_manager
