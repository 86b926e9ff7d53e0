// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/names.h"

#include <algorithm>
#include <array>
#include <string>

#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

bool AreDigits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsDigit) &&
         (text.size() == 1 || text[0] != '0');
}

}  // namespace

absl::Status CheckHandlerName(std::string_view name) {
  const auto is_inner = [](char c) { return IsLower(c) || IsDigit(c) || c == '-'; };
  if (name.empty() || name.size() > 63 || !std::ranges::all_of(name, is_inner) ||
      name.starts_with('-') || name.ends_with('-')) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "'{}' is no name for a class: up to 63 of a-z, 0-9 and -, not - at an end", name);
  }
  if (name == "runc" || name == "crun" || name == "runsc" || name.starts_with("nvidia")) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "the handler '{}' is another program's; choose a name like kata-qemu-gpu", name);
  }
  return absl::OkStatus();
}

std::string TomlKey(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
    return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '-' || c == '_';
  });
  return bare ? std::string(key) : Quoted(key);
}

bool IsYamlNumberOrBool(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array kWords = {"true", "false", "yes", "no",   "on",    "off",   "y",
                                 "n",    "null",  "~",   ".inf", "-.inf", "+.inf", ".nan"};
  if (std::ranges::find(kWords, lower) != kWords.end()) return true;
  std::string_view rest = lower;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || (!IsDigit(rest[0]) && rest[0] != '.')) return false;
  for (const std::string_view base : {"0x", "0o", "0b"}) {
    if (!rest.starts_with(base) || rest.size() == base.size()) continue;
    return rest.find_first_not_of("0123456789abcdef_", base.size()) == std::string_view::npos;
  }
  size_t dots = 0, exponents = 0, digits = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    if (IsDigit(c)) {
      ++digits;
    } else if (c == '.') {
      ++dots;
    } else if (c == 'e' && digits > 0) {
      ++exponents;
      if (i + 1 < rest.size() && (rest[i + 1] == '-' || rest[i + 1] == '+')) ++i;
    } else if (c != '_') {
      return false;
    }
  }
  return digits > 0 && dots < 2 && exponents < 2;
}

bool IsTomlNumberOrBool(std::string_view word) {
  if (word == "true" || word == "false") return true;
  if (word.starts_with('-')) word.remove_prefix(1);
  const size_t dot = word.find('.');
  if (dot == std::string_view::npos) return AreDigits(word) && word.size() < 19;
  const std::string_view fraction = word.substr(dot + 1);
  return AreDigits(word.substr(0, dot)) && !fraction.empty() &&
         std::ranges::all_of(fraction, IsDigit);
}

}  // namespace gpuhost::kata_manager
