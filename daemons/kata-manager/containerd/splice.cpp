// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/splice.h"

#include <algorithm>

#include "daemons/kata-manager/names.h"
#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr std::string_view kLineMark = " # by gpuhost kata-manager";
constexpr std::string_view kBegin = "# BEGIN gpuhost kata-manager; it replaces what is up to END";
constexpr std::string_view kEnd = "# END gpuhost kata-manager";
constexpr std::string_view kBlank = " \t\r\n";

std::string_view LineEnd(const std::string& text) {
  return text.find("\r\n") != std::string::npos ? "\r\n" : "\n";
}

std::string ImportLine(const std::string& path) {
  return fmt::format("imports = [{}]{}", Quoted(path), kLineMark);
}

bool Imports(const MainFile& main, const std::string& path) {
  return std::ranges::find(main.imports, path, &Import::value) != main.imports.end();
}

// What `text` means apart from its imports, and these.
struct Meaning {
  Flat rest;
  std::vector<std::string> imports;
  bool operator==(const Meaning&) const = default;
};

absl::StatusOr<Meaning> MeaningOf(const std::string& name, const std::string& text) {
  GPUHOST_ASSIGN(Flat flat, Flatten(name, text));
  GPUHOST_ASSIGN(const MainFile main, ReadMainFile(name, text));
  Meaning meaning;
  std::erase_if(flat, [](const auto& entry) { return entry.first.starts_with("imports"); });
  meaning.rest = std::move(flat);
  for (const Import& import : main.imports) meaning.imports.push_back(import.value);
  return meaning;
}

absl::StatusOr<std::string> Checked(const std::string& name, const std::string& text,
                                    const Meaning& wanted) {
  const auto meaning = MeaningOf(name, text);
  if (meaning.ok() && *meaning == wanted) return text;
  return Error(absl::StatusCode::kInternal,
               "{}: an edit of its imports came out wrong; nothing was written. Please report the "
               "file",
               name);
}

std::string Inserted(const std::string& text, size_t at, std::string_view what) {
  return text.substr(0, at) + std::string(what) + text.substr(at);
}

std::string Erased(const std::string& text, Span span) {
  return text.substr(0, span.begin) + text.substr(span.end);
}

// The element with the comma that goes with it; empty when only a person can tell which one does.
std::optional<Span> ElementAndComma(const std::string& text, const MainFile& main, size_t index) {
  Span span = main.imports[index].span;
  if (index > 0) {
    const size_t before = main.imports[index - 1].span.end;
    const std::string_view between(text.data() + before, span.begin - before);
    if (between.find('#') != std::string_view::npos) return std::nullopt;
    span.begin = before;
    return span;
  }
  const size_t next = text.find_first_not_of(kBlank, span.end);
  if (next == std::string::npos || text[next] != ',') return span;  // it is the only one
  span.end = next + 1;
  if (main.imports.size() > 1 && text[span.end] == ' ') ++span.end;
  return span;
}

// From the blank line before the block to the end of its last line; empty: there is none. Where
// there is no blank line any more, the end of the line before belongs to the block if that is the
// last thing: the file had none before.
Span BlockOf(const std::string& text) {
  const size_t begin = text.find(kBegin);
  const size_t end = begin == std::string::npos ? begin : text.find(kEnd, begin);
  if (end == std::string::npos || (begin > 0 && text[begin - 1] != '\n')) return {};
  size_t stop = end + kEnd.size();
  stop += text.substr(stop, 2) == "\r\n" ? 2u : text.substr(stop, 1) == "\n" ? 1u : 0u;
  if (begin == 0) return {begin, stop};
  const size_t start = begin - (begin > 1 && text[begin - 2] == '\r' ? 2u : 1u);
  const bool blank = start == 0 || text[start - 1] == '\n';
  return {blank || stop == text.size() ? start : begin, stop};
}

std::string WithLineEnds(const std::string& text, std::string_view line_end) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += line_end;
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<std::string> WithImport(const std::string& name, const std::string& text,
                                       const std::string& path) {
  GPUHOST_ASSIGN(const MainFile main, ReadMainFile(name, text));
  if (Imports(main, path)) return text;
  GPUHOST_ASSIGN(Meaning wanted, MeaningOf(name, text));
  wanted.imports.push_back(path);
  if (main.array) {
    const bool first = main.imports.empty();
    const size_t at = first ? main.array->begin + 1 : main.imports.back().span.end;
    return Checked(name, Inserted(text, at, (first ? "" : ", ") + Quoted(path)), wanted);
  }
  const std::string line = ImportLine(path) + std::string(LineEnd(text));
  size_t at = 0;
  if (main.version_at) {
    const size_t newline = text.find('\n', main.version_at->end);
    if (newline == std::string::npos) {  // the last line, and it has no end
      return Checked(name, text + std::string(LineEnd(text)) + ImportLine(path), wanted);
    }
    at = newline + 1;
  }
  return Checked(name, Inserted(text, at, line), wanted);
}

absl::StatusOr<std::string> WithoutImport(const std::string& name, const std::string& text,
                                          const std::string& path) {
  GPUHOST_ASSIGN(const MainFile main, ReadMainFile(name, text));
  if (!Imports(main, path)) return text;
  GPUHOST_ASSIGN(Meaning wanted, MeaningOf(name, text));
  std::erase(wanted.imports, path);
  const std::string line = ImportLine(path);
  if (const size_t at = text.find(line); at != std::string::npos) {
    const std::string after = text.substr(at + line.size(), 2);
    const size_t end = after == "\r\n" ? 2u : after.starts_with('\n') ? 1u : 0u;
    if (end > 0) return Checked(name, Erased(text, {at, at + line.size() + end}), wanted);
    const size_t before = at > 1 && text[at - 2] == '\r' ? 2u : 1u;
    return Checked(name, Erased(text, {at - std::min(at, before), at + line.size()}), wanted);
  }
  const auto found = std::ranges::find(main.imports, path, &Import::value);
  const auto span = ElementAndComma(text, main, static_cast<size_t>(found - main.imports.begin()));
  if (!span) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: there are comments around the import of {}; take it out by hand", name, path);
  }
  return Checked(name, Erased(text, *span), wanted);
}

absl::StatusOr<std::string> WithBlock(const std::string& name, const std::string& text,
                                      const std::string& tables) {
  const std::string rest = WithoutBlock(text);
  GPUHOST_ASSIGN(Flat wanted, Flatten(name, rest));
  GPUHOST_ASSIGN(const Flat own, Flatten("tables", tables));
  const std::string block =
      WithLineEnds(fmt::format("\n{}\n{}{}\n", kBegin, tables, kEnd), LineEnd(rest));
  wanted.insert(own.begin(), own.end());
  if (const Span there = BlockOf(text); there.end > 0) {  // it stays where it is, if it can
    const std::string lines = text[there.begin] == '#' ? block.substr(LineEnd(rest).size()) : block;
    const std::string replaced = text.substr(0, there.begin) + lines + text.substr(there.end);
    if (Flatten(name, replaced).value_or(Flat()) == wanted) return replaced;
  }
  const auto flat = Flatten(name, rest + block);
  if (!flat.ok()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: a table of a handler of ours is there already, or its table is closed: {}; "
                 "remove it there",
                 name, Text(flat.status()));
  }
  if (*flat == wanted) return rest + block;
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: a handler of ours is defined there already; remove it there", name);
}

std::string WithoutBlock(const std::string& text) { return Erased(text, BlockOf(text)); }

std::string TablesInBlock(const std::string& text) {
  const Span block = BlockOf(text);
  return text.substr(block.begin, block.end - block.begin);
}

}  // namespace gpuhost::kata_manager::containerd
