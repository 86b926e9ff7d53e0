// SPDX-License-Identifier: Apache-2.0
//
// From what was looked at on a node to a tree that shows the same to somebody else.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemons/node-validator/observe/facts.h"

namespace gpuhost::node_validator {

struct CapturedFile {
  std::string content;
  int64_t modified = 0;
};

// Paths begin with a slash, and no directory on the way to one is a link.
struct CapturedTree {
  std::map<std::string, CapturedFile> files;
  std::map<std::string, std::string> links;
  std::set<std::string> directories;
  std::set<std::string> left_out;  // looked at, and its content not shown
};

// Everything that `tree` and `questions` were asked, redacted; with what is known of the devices of
// `facts` and of gpuhost's daemons besides.
CapturedTree Capture(const Tree& tree, const Questions& questions, const Facts& facts);

}  // namespace gpuhost::node_validator
