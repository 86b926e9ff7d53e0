// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/doctor.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::gpuhostctl {

absl::StatusOr<std::string> FindValidator(const std::string& own_directory,
                                          const std::string& search_path) {
  std::istringstream directories(own_directory + ":" + search_path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (!directory.starts_with('/')) continue;
    const std::string path = directory + "/node-validator";
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Error(absl::StatusCode::kNotFound,
               "node-validator is neither in {} nor on $PATH; install it beside gpuhostctl",
               own_directory);
}

absl::Status RunDoctor(const std::vector<std::string>& arguments) {
  const std::string self = HostFs().ReadLink("/proc/self/exe").value_or("");
  const char* search_path = std::getenv("PATH");
  GPUHOST_ASSIGN(std::string program, FindValidator(self.substr(0, self.rfind('/')),
                                                    search_path == nullptr ? "" : search_path));
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  return ErrnoStatus(errno, "start " + program);
}

}  // namespace gpuhost::gpuhostctl
