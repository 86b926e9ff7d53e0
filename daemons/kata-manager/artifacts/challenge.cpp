// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/challenge.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::kata_manager::artifacts {
namespace {

bool IsToken(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~/").find(c) != std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ >= text_.size(); }
  void Skip(std::string_view any) {
    while (!AtEnd() && any.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string Token() {
    const size_t begin = at_;
    while (!AtEnd() && IsToken(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::optional<std::string> Value() {
    if (!Take('"')) return Token();
    std::string value;
    while (!AtEnd()) {
      char c = text_[at_++];
      if (c == '"') return value;
      if (c == '\\' && !AtEnd()) c = text_[at_++];
      value += c;
    }
    return std::nullopt;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return text;
}

void ParseLine(std::string_view line, std::vector<Challenge>& challenges) {
  Reader reader(line);
  while (true) {
    reader.Skip(" \t,");
    const std::string word = reader.Token();
    if (word.empty()) return;
    reader.Skip(" \t");
    if (!reader.Take('=')) {  // a scheme
      challenges.push_back({Lower(word), {}});
      continue;
    }
    reader.Skip(" \t");
    const auto value = reader.Value();
    if (!value || challenges.empty()) return;
    challenges.back().parameters[Lower(word)] = *value;
  }
}

}  // namespace

std::vector<Challenge> ParseChallenges(const std::string& lines) {
  std::vector<Challenge> challenges;
  std::string_view rest = lines;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    ParseLine(rest.substr(0, end), challenges);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return challenges;
}

std::string BasicAuthorization(const std::string& user, const std::string& password) {
  return "Basic " + absl::Base64Escape(user + ":" + password);
}

std::string UrlEncoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace gpuhost::kata_manager::artifacts
