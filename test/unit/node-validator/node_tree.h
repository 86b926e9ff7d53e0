// SPDX-License-Identifier: Apache-2.0
//
// Captured nodes in a few lines. test/data/nodes/NAME.tree describes one; `base` puts it on
// another. The commands are explained in test/data/nodes/README.md.
#pragma once

#include <string>
#include <vector>

#include "daemons/node-validator/observe/kata.h"
#include "test/fake/temp_root.h"

namespace gpuhost::test {

class NodeTree {
 public:
  // Throws when the description is wrong.
  explicit NodeTree(const std::string& name);

  fake::TempRoot& root() { return root_; }
  // Ids of the checks that must be named as causes, in order.
  const std::vector<std::string>& causes() const { return causes_; }
  const std::string& title() const { return title_; }
  node_validator::Depth depth() const { return depth_; }  // with which it is to be looked at

  // Names of all descriptions.
  static std::vector<std::string> All();
  static std::string Directory();

 private:
  void Apply(const std::string& name);
  void Command(const std::string& verb, const std::string& rest);
  void Function(const std::string& rest);
  void Bridge(const std::string& rest);
  void Blob(const std::string& rest);
  void Append(const std::string& line);

  fake::TempRoot root_;
  std::vector<std::string> causes_;
  node_validator::Depth depth_ = node_validator::Depth::kQuick;
  std::string title_, open_;  // open_: the file that "| " lines go to
};

}  // namespace gpuhost::test
