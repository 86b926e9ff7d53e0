// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/processes.h"

#include <unistd.h>

#include <algorithm>

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

std::string ProgramOf(const HostFs& fs, const std::string& pid) {
  const auto words = ArgumentsOf(fs, pid);
  return words.empty() ? "" : words[0].substr(words[0].rfind('/') + 1);
}

bool IsRunning(const HostFs& fs, const std::string& program) {
  const std::string self = std::to_string(::getpid());
  return std::ranges::any_of(ProcessIds(fs), [&](const std::string& pid) {
    return pid != self && ProgramOf(fs, pid) == program;
  });
}

}  // namespace gpuhost::kata_manager
