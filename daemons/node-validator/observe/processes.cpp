// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/processes.h"

#include <algorithm>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// Field 22 of /proc/<pid>/stat counts hundredths of a second since the machine started. Source:
// proc(5).
std::optional<int64_t> StartOf(const Tree& tree, int pid) {
  const std::string stat = tree.ReadLine(fmt::format("/proc/{}/stat", pid)).value_or("");
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  const auto ticks = ParseDecimal(field);
  std::istringstream lines(tree.Read("/proc/stat", 4u << 20).value_or(""));
  for (std::string key, value; lines >> key;) {
    if (key != "btime") continue;
    lines >> value;
    const auto boot = ParseDecimal(value, INT64_MAX);
    if (ticks && boot) return static_cast<int64_t>(*boot + *ticks / 100);
  }
  return std::nullopt;
}

std::string LockedMemory(const Tree& tree, int pid) {
  std::istringstream lines(tree.Read(fmt::format("/proc/{}/limits", pid)).value_or(""));
  constexpr std::string_view kName = "Max locked memory";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kName)) continue;
    std::istringstream words(line.substr(kName.size()));
    std::string soft;
    words >> soft;
    return soft;
  }
  return "";
}

Process ReadProcess(const Tree& tree, int pid) {
  Process process{.pid = pid};
  std::istringstream words(tree.Read(fmt::format("/proc/{}/cmdline", pid)).value_or(""));
  for (std::string word; std::getline(words, word, '\0');) process.arguments.push_back(word);
  process.program = tree.Link(fmt::format("/proc/{}/exe", pid))
                        .value_or(process.arguments.empty() ? "" : process.arguments[0]);
  process.started = StartOf(tree, pid);
  process.locked_memory = LockedMemory(tree, pid);
  return process;
}

}  // namespace

std::optional<std::string> Process::Option(std::string_view name) const {
  std::optional<std::string> found;
  for (size_t i = 1; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (!word.starts_with('-')) continue;
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    if (word == name && i + 1 < arguments.size()) found = arguments[i + 1];
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=') {
      found = word.substr(name.size() + 1);
    }
  }
  return found;
}

std::vector<Process> FindProcesses(const Tree& tree, std::string_view name) {
  std::vector<int> pids;
  for (const std::string& entry : tree.fs().List("/proc").value_or(std::vector<std::string>())) {
    const auto pid = ParseDecimal(entry, INT32_MAX);
    if (!pid) continue;
    const auto comm = tree.fs().ReadAttribute(fmt::format("/proc/{}/comm", *pid));
    if (comm.ok() && *comm == name) pids.push_back(static_cast<int>(*pid));
  }
  std::ranges::sort(pids);
  std::vector<Process> processes;
  for (const int pid : pids) {
    tree.Read(fmt::format("/proc/{}/comm", pid)).IgnoreError();
    processes.push_back(ReadProcess(tree, pid));
  }
  return processes;
}

}  // namespace gpuhost::node_validator
