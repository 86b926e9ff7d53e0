// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/unit_file.h"

#include <map>
#include <sstream>

#include "daemons/kata-manager/services.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

// The first that has a file counts.
constexpr const char* kDirectories[] = {"/etc/systemd/system", "/run/systemd/system",
                                        "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                        "/lib/systemd/system"};

// Words between blanks; quotes hold one together.
std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  char quote = '\0';
  bool any = false;
  for (const char c : text + " ") {
    if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      any = true;
    } else if (c == ' ' || c == '\t') {
      if (any || !word.empty()) words.push_back(std::move(word));
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  return words;
}

struct Service {
  std::vector<std::string> command, variables;
};

void Take(const std::string& text, Service& service) {
  std::string joined = text;
  for (size_t at = joined.find("\\\n"); at != std::string::npos; at = joined.find("\\\n", at)) {
    joined.erase(at, 1);
    joined[at] = ' ';
  }
  std::istringstream lines(joined);
  bool in_service = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) in_service = line.starts_with("[Service]");
    const size_t equals = line.find('=');
    if (!in_service || equals == std::string::npos || line.starts_with('#')) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", equals - 1) + 1);
    const auto words = WordsOf(line.substr(equals + 1));
    if (key == "ExecStart" && (words.empty() || service.command.empty())) service.command = words;
    if (key != "Environment") continue;
    if (words.empty()) service.variables.clear();
    service.variables.insert(service.variables.end(), words.begin(), words.end());
  }
}

}  // namespace

std::vector<std::string> CommandInUnitFile(const HostFs& host, const std::string& unit) {
  Service service;
  std::map<std::string, std::string> drop_ins;  // by name; the first directory's counts
  bool found = false;
  for (const char* directory : kDirectories) {
    const std::string path = fmt::format("{}/{}", directory, unit);
    const auto text = host.Read(path);
    if (text.ok() && !found) Take(*text, service);
    found = found || text.ok();
    for (const std::string& name : host.List(path + ".d").value_or(std::vector<std::string>())) {
      if (!name.ends_with(".conf")) continue;
      drop_ins.emplace(name, host.Read(fmt::format("{}.d/{}", path, name)).value_or(""));
    }
  }
  if (!found) return {};
  for (const auto& [name, text] : drop_ins) Take(text, service);
  if (service.command.empty()) return {};
  // Prefixes have a meaning for systemd.
  service.command[0].erase(0, service.command[0].find_first_not_of("-@:+!"));
  return WithVariables(service.command, service.variables);
}

}  // namespace gpuhost::kata_manager::containerd
