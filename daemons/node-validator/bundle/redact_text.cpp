// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/redact_text.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace gpuhost::node_validator {
namespace {

// Anywhere in a name.
constexpr auto kWords = std::to_array<std::string_view>(
    {"passw", "passphrase", "token", "secret", "credential", "apikey", "api_key", "api-key",
     "accesskey", "access_key", "access-key", "privatekey", "private_key", "private-key", "bearer",
     "authorization", "cookie", "setenv", "kbc_params"});
// As one of its parts, between dots, dashes and underscores.
constexpr auto kParts = std::to_array<std::string_view>(
    {"pwd", "pass", "pw", "psk", "auth", "sig", "signature", "jwt", "sas", "pin"});
// Of keys: NVIDIA, GitHub, GitLab, Slack, AWS, Hugging Face, Docker, Google, npm, PyPI, SendGrid,
// Vault, age, and JSON Web Tokens.
constexpr auto kPrefixes = std::to_array<std::string_view>({"nvapi-",
                                                            "ghp_",
                                                            "gho_",
                                                            "ghs_",
                                                            "ghu_",
                                                            "ghr_",
                                                            "github_pat_",
                                                            "glpat-",
                                                            "xoxb-",
                                                            "xoxp-",
                                                            "xoxa-",
                                                            "xapp-",
                                                            "AKIA",
                                                            "ASIA",
                                                            "hf_",
                                                            "dckr_pat_",
                                                            "AIza",
                                                            "npm_",
                                                            "pypi-",
                                                            "SG.",
                                                            "hvs.",
                                                            "sk-",
                                                            "AGE-SECRET-KEY-",
                                                            "eyJ"});
constexpr size_t kShortestKey = 8, kShortestRandom = 24, kLongestName = 4096;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsSpace(char c) { return IsBlank(c) || c == '\n' || c == '\r' || c == '\0'; }
bool IsQuote(char c) { return c == '"' || c == '\'' || c == '`'; }
bool IsName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}
bool IsKey(char c) { return IsName(c) || c == '+' || c == '/' || c == '=' || c == '~'; }
bool EndsValue(char c) { return IsSpace(c) || IsQuote(c) || c == ',' || c == ';'; }

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool IsScheme(std::string_view word) {
  const std::string lower = word.size() > 9 ? "" : Lower(word);
  return lower == "bearer" || lower == "basic" || lower == "digest" || lower == "negotiate";
}

bool LooksRandom(std::string_view word) {
  const auto has = [&](auto is) {
    return std::ranges::any_of(word, [&](unsigned char c) { return is(c) != 0; });
  };
  return word.size() >= kShortestRandom && has([](int c) { return std::isupper(c); }) &&
         has([](int c) { return std::islower(c); }) && has([](int c) { return std::isdigit(c); });
}

// Reads the text from its beginning to its end, and never goes back in it.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::string Clean() {
    while (at_ < text_.size()) Step();
    return std::move(out_);
  }

 private:
  char Now() const { return text_[at_]; }
  bool More() const { return at_ < text_.size(); }
  template <typename Is>
  size_t EndOf(size_t from, Is is) const {
    while (from < text_.size() && is(text_[from])) ++from;
    return from;
  }
  void Copy(size_t end) {
    out_ += text_.substr(at_, end - at_);
    at_ = end;
  }
  void Remove(size_t end) {
    if (end > at_) out_ += kRemoved;
    at_ = end;
  }
  // From here on may be "user:password@".
  void BeginWord(bool address) {
    word_ = out_.size();
    colon_ = false;
    address_ = address;
  }

  void Step() {
    constexpr std::string_view kPem = "-----BEGIN";
    if (text_.substr(at_).starts_with(kPem)) return SkipPem();
    if (IsName(Now())) return Name();
    if (Now() == '@') return At();
    if (Now() == '?' && at_ >= asked_) return Query();
    if (text_.substr(at_).starts_with("://")) {
      Copy(at_ + 3);
      return BeginWord(true);
    }
    const char c = Now();
    if (c == ':') colon_ = true;
    if (c == '/') address_ = false;
    Copy(at_ + 1);
    const bool parts = IsSpace(c) || IsQuote(c) || c == ',' || c == ';' || c == '(' || c == '<' ||
                       c == '[' || c == '{' || (c == '=' && !colon_);
    if (parts) BeginWord(false);
  }

  void SkipPem() {
    constexpr std::string_view kEnd = "-----END";
    const size_t end = text_.find(kEnd, at_);
    const size_t dashes =
        end == std::string_view::npos ? end : text_.find("-----", end + kEnd.size());
    Remove(dashes == std::string_view::npos ? text_.size() : dashes + 5);
  }

  // user:password@host, and in an address user@host.
  void At() {
    if ((colon_ || address_) && out_.size() > word_) {
      out_.resize(word_);
      out_ += kRemoved;
    }
    Copy(at_ + 1);
    BeginWord(false);
  }

  // Of an address: ?name=value&...
  void Query() {
    const size_t end = EndOf(at_, [](char c) { return !IsSpace(c) && !IsQuote(c); });
    asked_ = end;
    if (text_.substr(at_, end - at_).find('=') == std::string_view::npos) return Copy(at_ + 1);
    Copy(at_ + 1);
    Remove(end);
  }

  void Name() {
    const size_t end = EndOf(at_, IsName);
    const std::string_view name = text_.substr(at_, end - at_);
    for (const std::string_view prefix : kPrefixes) {
      // Also behind something else: "x-nvapi-...".
      const bool anywhere = prefix.size() > 4 && name.size() < kLongestName;
      const size_t found = anywhere ? name.find(prefix) : name.starts_with(prefix) ? 0 : name.npos;
      if (found == name.npos) continue;
      const size_t last = EndOf(at_, IsKey);
      if (last - at_ - found < prefix.size() + kShortestKey) continue;
      Copy(at_ + found);
      return Remove(last);
    }
    if (LooksRandom(name) && name.find_first_of("-.") == std::string_view::npos) {
      return Remove(EndOf(at_, IsKey));
    }
    Copy(end);
    if (IsScheme(name)) return Credentials(kShortestKey);
    if (SoundsSecret(name)) Value(name.starts_with('-'));
  }

  // What follows "Bearer ".
  void Credentials(size_t shortest) {
    const size_t begin = EndOf(at_, IsBlank), end = EndOf(begin, IsKey);
    if (begin == at_ || end - begin < shortest) return;
    Copy(begin);
    Remove(end);
  }

  // What belongs to the name before it: behind = or :, and for an option also behind blanks,
  // quotes and commas, as in a list of arguments.
  void Value(bool option) {
    size_t begin = EndOf(at_, [](char c) { return IsQuote(c) || IsBlank(c) || c == '\\'; });
    const bool sign = begin < text_.size() && (text_[begin] == '=' || text_[begin] == ':');
    if (!sign && !option) return;
    const auto between = [&](char c) {
      return IsBlank(c) || c == '=' || c == ':' || c == '\\' || c == '[' ||
             (option && (c == ',' || c == '\0' || IsQuote(c)));
    };
    begin = EndOf(begin, between);
    Copy(begin);
    if (More() && IsQuote(Now())) return Quoted();
    const size_t word = EndOf(at_, IsName);
    if (IsScheme(text_.substr(at_, word - at_))) {
      Copy(word);
      return Credentials(1);
    }
    size_t end = at_;
    while (end < text_.size() && !EndsValue(text_[end]) && !EscapesQuote(end)) ++end;
    Remove(end);
  }

  // As in a text within JSON.
  bool EscapesQuote(size_t at) const {
    return text_[at] == '\\' && at + 1 < text_.size() && IsQuote(text_[at + 1]);
  }

  void Quoted() {
    const char quote = Now();
    Copy(at_ + 1);
    size_t end = at_;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
      end += text_[end] == '\\' && end + 1 < text_.size() ? 2 : 1;
    }
    Remove(std::min(end, text_.size()));
  }

  const std::string_view text_;
  std::string out_;
  size_t at_ = 0, asked_ = 0;  // asked_: up to where a query has been looked for
  size_t word_ = 0;            // in out_, where a user's name would begin
  bool colon_ = false, address_ = false;
};

}  // namespace

bool SoundsSecret(std::string_view name) {
  const std::string lower = Lower(name);
  const auto inside = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
  if (std::ranges::any_of(kWords, inside)) return true;
  if (lower.size() > 4 && (lower.ends_with("_key") || lower.ends_with("-key"))) return true;
  for (size_t begin = 0; begin < lower.size();) {
    const size_t end = std::min(lower.find_first_of("-_.", begin), lower.size());
    const std::string_view part = std::string_view(lower).substr(begin, end - begin);
    if (std::ranges::count(kParts, part) > 0) return true;
    begin = end + 1;
  }
  return false;
}

std::string RedactText(std::string_view text) {
  // "removed" may make a name of what stood on both sides; each time less is left.
  constexpr int kMostTimes = 16;
  std::string clean = Scanner(text).Clean();
  for (int i = 0; i < kMostTimes; ++i) {
    std::string again = Scanner(clean).Clean();
    if (again == clean) break;
    clean = std::move(again);
  }
  return clean;
}

bool LooksSecret(std::string_view text) { return RedactText(text) != text; }

}  // namespace gpuhost::node_validator
