// SPDX-License-Identifier: Apache-2.0
//
// Changes to containerd's main file, which belongs to the administrator: one element of `imports`,
// or a block between two lines of ours. All other bytes stay, and taking away what was put in gives
// the file of before. Every result is parsed again and must mean what the old one did and the
// change; else kInternal, and nothing was changed.
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace gpuhost::kata_manager::containerd {

// `text` with `path` as its last import; `text` itself where it is one already. kInvalidArgument
// when `text` is no TOML that containerd takes.
absl::StatusOr<std::string> WithImport(const std::string& name, const std::string& text,
                                       const std::string& path);
// kFailedPrecondition when somebody has edited it so that it can only be taken out by hand.
absl::StatusOr<std::string> WithoutImport(const std::string& name, const std::string& text,
                                          const std::string& path);

// `tables` at the end of `text`, in place of those of before. kFailedPrecondition when one of them
// is there already, outside of our block.
absl::StatusOr<std::string> WithBlock(const std::string& name, const std::string& text,
                                      const std::string& tables);
std::string WithoutBlock(const std::string& text);
// What is between the two lines; empty where they are not.
std::string TablesInBlock(const std::string& text);

}  // namespace gpuhost::kata_manager::containerd
