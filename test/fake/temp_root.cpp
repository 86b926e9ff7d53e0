// SPDX-License-Identifier: Apache-2.0
#include "test/fake/temp_root.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace gpuhost::fake {

namespace fs = std::filesystem;

TempRoot::TempRoot() {
  std::string pattern = (fs::temp_directory_path() / "gpuhost-test.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  root_ = pattern;
}

TempRoot::~TempRoot() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

fs::path TempRoot::Of(std::string_view path) const { return root_.string() + std::string(path); }

void TempRoot::Directory(std::string_view path) { fs::create_directories(Of(path)); }

void TempRoot::File(std::string_view path, std::string_view content) {
  fs::create_directories(Of(path).parent_path());
  std::ofstream file(Of(path), std::ios::trunc);
  file << content;
  if (!file.flush()) throw std::runtime_error("write " + std::string(path));
}

void TempRoot::Link(std::string_view path, std::string_view target) {
  fs::create_directories(Of(path).parent_path());
  fs::remove(Of(path));
  fs::create_symlink(target, Of(path));
}

void TempRoot::Remove(std::string_view path) { fs::remove_all(Of(path)); }

bool TempRoot::Exists(std::string_view path) const {
  return fs::exists(fs::symlink_status(Of(path)));
}

std::string TempRoot::Content(std::string_view path) const {
  std::ifstream file(Of(path));
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace gpuhost::fake
