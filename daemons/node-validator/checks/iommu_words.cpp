// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/checks/iommu_words.h"

#include <sstream>
#include <string_view>

namespace gpuhost::node_validator {
namespace {

// As kstrtobool reads it; empty: it does not take the word.
std::optional<bool> ToBool(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const std::string_view first = text.substr(0, 1), second = text.substr(1, 1);
  if (first.find_first_of("yYtT1") == 0) return true;
  if (first.find_first_of("nNfF0") == 0) return false;
  if (first.find_first_of("oO") != 0) return std::nullopt;
  if (second.find_first_of("nN") == 0) return true;
  if (second.find_first_of("fF") == 0) return false;
  return std::nullopt;
}

// The members of "off,pt"; the kernel compares how they begin.
std::vector<std::string> Members(const std::string& value) {
  std::vector<std::string> members;
  std::istringstream words(value);
  for (std::string word; std::getline(words, word, ',');) members.push_back(word);
  return members;
}

void ReadCommon(const std::string& word, const std::string& value, IommuWords& found) {
  for (const std::string& member : Members(value)) {
    if (member.starts_with("off")) found.off.push_back(word);
    if (!member.starts_with("pt") && !member.starts_with("nopt")) continue;
    found.passthrough = member.starts_with("pt");
    found.passthrough_word = word;
  }
}

void ReadAmd(const std::string& word, const std::string& value, IommuWords& found) {
  for (const std::string& member : Members(value)) {
    if (member.starts_with("off")) found.amd_off = word;
    if (member.starts_with("pgtbl_v1")) found.amd_second_format.clear();
    if (member.starts_with("pgtbl_v2")) found.amd_second_format = word;
  }
}

void ReadIntel(const std::string& word, const std::string& value, IommuWords& found) {
  for (const std::string& member : Members(value)) {
    if (member.starts_with("on")) {
      found.intel_on = true;
      found.intel_off.clear();
    } else if (member.starts_with("off")) {
      found.intel_on = false;
      found.intel_off = word;
    }
  }
}

}  // namespace

IommuWords ReadIommuWords(const std::vector<std::string>& command_line) {
  IommuWords found;
  for (const std::string& word : command_line) {
    if (word == "--") break;  // the rest is for process 1
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (word == "noiommu") found.off.push_back(word);
    if (name == "iommu") ReadCommon(word, value, found);
    if (name == "amd_iommu") ReadAmd(word, value, found);
    if (name == "intel_iommu") ReadIntel(word, value, found);
    if (name != "iommu.passthrough") continue;
    const auto on = ToBool(value);
    if (!on) continue;
    found.passthrough = on;
    found.passthrough_word = word;
  }
  return found;
}

}  // namespace gpuhost::node_validator
