// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/unit.h"

#include <array>
#include <sstream>

namespace gpuhost::node_validator {
namespace {

constexpr auto kDirectories = std::to_array<std::string_view>(
    {"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
     "/usr/lib/systemd/system", "/lib/systemd/system"});

// systemd takes blanks on both sides of the sign.
std::string Trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

void Add(const std::string& text, Unit& unit) {
  bool in_service = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) in_service = line.starts_with("[Service]");
    const size_t equals = line.find('=');
    const bool comment = line.starts_with('#') || line.starts_with(';');
    if (!in_service || equals == std::string::npos || comment) continue;
    const std::string value = Trimmed(line.substr(equals + 1));
    unit.settings[Trimmed(line.substr(0, equals))] = value;
  }
}

}  // namespace

Unit ReadUnit(const Tree& tree, const std::string& name) {
  Unit unit;
  for (const std::string_view directory : kDirectories) {
    const std::string path = fmt::format("{}/{}", directory, name);
    const auto text = tree.Read(path);
    if (!text.ok()) continue;
    unit.path = path;
    Add(*text, unit);
    break;
  }
  if (unit.path.empty()) return unit;
  std::map<std::string, std::string> dropins;  // by name; the first directory wins
  for (const std::string_view directory : kDirectories) {
    const std::string where = fmt::format("{}/{}.d", directory, name);
    for (const auto& file : tree.List(where).value_or(std::vector<std::string>())) {
      if (file.ends_with(".conf")) dropins.try_emplace(file, where + "/" + file);
    }
  }
  for (const auto& [file, path] : dropins) Add(tree.Read(path).value_or(""), unit);
  return unit;
}

}  // namespace gpuhost::node_validator
