// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/processes.h"

#include <algorithm>
#include <sstream>

#include "daemons/common/node/process.h"
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

// What proves it is read by another way; looking at it here puts it into a support bundle.
void Note(const Tree& tree, int pid) {
  for (const char* file : {"comm", "status", "cgroup", "cmdline"}) {
    tree.Read(fmt::format("/proc/{}/{}", pid, file)).IgnoreError();
  }
  for (const char* link : {"exe", "ns/mnt", "ns/pid", "ns/user"}) {
    tree.Link(fmt::format("/proc/{}/{}", pid, link)).IgnoreError();
  }
}

std::vector<Process> Complete(const Tree& tree, const std::vector<node::Process>& found) {
  std::vector<Process> processes;
  for (const node::Process& one : found) {
    Note(tree, one.pid);
    processes.push_back({.pid = one.pid,
                         .program = one.exe,
                         .replaced = one.replaced,
                         .arguments = one.arguments,
                         .unit = one.unit,
                         .started = StartOf(tree, one.pid),
                         .locked_memory = LockedMemory(tree, one.pid)});
  }
  return processes;
}

// Of a bundle without proofs.
void AddByName(const Tree& tree, std::string_view name, Processes& found) {
  bool added = false;
  for (const auto& entry : tree.List("/proc").value_or(std::vector<std::string>())) {
    const auto pid = ParseDecimal(entry, INT32_MAX);
    const std::string base = "/proc/" + entry;
    if (!pid || tree.Exists(base + "/status") || tree.ReadLine(base + "/comm").value_or("") != name)
      continue;
    node::Process process{.pid = static_cast<int>(*pid),
                          .exe = tree.Link(base + "/exe").value_or("")};
    std::istringstream words(tree.Read(base + "/cmdline").value_or(""));
    for (std::string word; std::getline(words, word, '\0');) process.arguments.push_back(word);
    found.own.push_back(Complete(tree, {process}).front());
    added = true;
  }
  if (added) found.complete = absl::OkStatus();
  std::ranges::sort(found.own, {}, &Process::pid);
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

std::string ToString(const Process& process) {
  return fmt::format("pid {} ({})", process.pid,
                     process.unit.empty() ? "in no service" : process.unit);
}

Processes FindProcesses(const Tree& tree, std::string_view name) {
  const node::Processes seen = node::OwnProcesses(tree.fs(), name);
  Note(tree, 1);
  Processes found{.own = Complete(tree, seen.own),
                  .elsewhere = Complete(tree, seen.elsewhere),
                  .complete = seen.complete};
  if (tree.captured()) AddByName(tree, name, found);
  return found;
}

}  // namespace gpuhost::node_validator
