// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "test/node/options.h"

namespace gpuhost::node {

// A temporary directory that tells the node what to run; it sees it through the host's file tree.
// Removed with the object.
class RunDirectory {
 public:
  explicit RunDirectory(const Options& options);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  std::string path() const { return path_.string(); }
  // Where the node's kernel messages go.
  std::string console() const { return (path_ / "console").string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace gpuhost::node
