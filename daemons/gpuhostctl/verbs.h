// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace gpuhost::gpuhostctl {

// The command line as data, from which its manual and its completions are made.
struct Flag {
  std::vector<std::string> names;  // "-h", "--help"
  std::string value;               // "TEXT"; empty: it takes none
  std::string help;
};
struct Verb {
  std::string name;  // of the first: that of the program
  std::string help;
  std::vector<Flag> flags;
  std::vector<Flag> arguments;     // names without dashes
  std::vector<std::string> words;  // what its first argument may be, where that is known
  std::vector<Verb> verbs;
  bool passes_on = false;  // all that follows is for another program, --help included
};

// A script for "bash", "zsh" or "fish" that completes verbs, flags and known words; flags of other
// programs are those in their --help.
std::string Completion(const Verb& program, const std::string& shell);

// The manual page, section 8, in the macros of man(7).
std::string ManualPage(const Verb& program, const std::string& version);

}  // namespace gpuhost::gpuhostctl
