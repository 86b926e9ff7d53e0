// SPDX-License-Identifier: Apache-2.0
#include "test/node/run_directory.h"

#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>

namespace gpuhost::node {
namespace {

std::string Quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

// The caller's environment and directory, with `path` in front of PATH.
std::string Prologue(const Options& options) {
  static const std::set<std::string_view> kOwn{"_", "PWD", "OLDPWD", "SHLVL"};
  std::string script = "set -a\n";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const bool is_name = name.find_first_not_of(
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789_") == std::string_view::npos;
    if (equals == std::string_view::npos || !is_name || kOwn.contains(name)) continue;
    script += fmt::format("{}={}\n", name, Quote(text.substr(equals + 1)));
  }
  std::string path;
  for (const std::string& directory : options.path) path += directory + ":";
  return script + fmt::format("PATH={}\"$PATH\"\nset +a\ncd {}\n", Quote(path),
                              Quote(std::filesystem::current_path().string()));
}

std::string CommandScript(const Options& options) {
  std::string script = Prologue(options) + "exec";
  for (const std::string& word : options.command) script += " " + Quote(word);
  return script + "\n";
}

std::string ShellScript(const Options& options) {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) size = {40, 120, 0, 0};
  return Prologue(options) + fmt::format("stty rows {} cols {} sane\n", size.ws_row, size.ws_col) +
         "echo 'This is the virtual node; exit ends it.'\nexec bash --norc -i\n";
}

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

RunDirectory::RunDirectory(const Options& options) {
  std::string pattern = (std::filesystem::temp_directory_path() / "gpuhost-node.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create " + pattern);
  path_ = pattern;
  if (!options.command.empty()) WriteFile(path_ / "command", CommandScript(options));
  if (options.shell) WriteFile(path_ / "shell", ShellScript(options));
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace gpuhost::node
