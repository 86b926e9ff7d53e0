// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gpuhost::fake {

// A directory that stands for "/" of a node; gone with the object. The functions abort the test by
// an exception when the real file system refuses.
class TempRoot {
 public:
  TempRoot();
  ~TempRoot();
  TempRoot(const TempRoot&) = delete;
  TempRoot& operator=(const TempRoot&) = delete;

  std::string path() const { return root_.string(); }
  std::filesystem::path Of(std::string_view path) const;  // "/sys/x" below the root

  // Parents are made as needed.
  void Directory(std::string_view path);
  void File(std::string_view path, std::string_view content);
  void Link(std::string_view path, std::string_view target);  // replaces an earlier link
  void Remove(std::string_view path);
  bool Exists(std::string_view path) const;
  std::string Content(std::string_view path) const;

 private:
  std::filesystem::path root_;
};

}  // namespace gpuhost::fake
