// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/delegate.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "daemons/common/service/instance.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::gpuhostctl {

absl::Status CheckNotAlive(const HostFs& fs, const std::string& daemon) {
  if (daemon.empty() || !service::IsAlive(fs, daemon)) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} runs on this machine and keeps the mode it was told; tell it another: with "
               "Kubernetes 'kubectl label node NAME nvidia.com/cc.mode=MODE --overwrite', without "
               "it the mode in /etc/gpuhost/cc-manager.toml and 'systemctl reload gpuhost-{}'",
               daemon, daemon);
}

absl::StatusOr<std::string> FindProgram(const std::string& program,
                                        const std::string& own_directory,
                                        const std::string& search_path) {
  std::istringstream directories(own_directory + ":" + search_path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (!directory.starts_with('/')) continue;
    std::string path = directory + "/" + program;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Error(absl::StatusCode::kNotFound,
               "{} is neither in {} nor on $PATH; install it beside gpuhostctl", program,
               own_directory);
}

absl::Status Become(const std::string& program, const std::vector<std::string>& arguments) {
  const std::string self = HostFs().ReadLink("/proc/self/exe").value_or("");
  const char* search_path = std::getenv("PATH");
  GPUHOST_ASSIGN(std::string path, FindProgram(program, self.substr(0, self.rfind('/')),
                                               search_path == nullptr ? "" : search_path));
  std::vector<std::string> words{path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(path.c_str(), pointers.data());
  return ErrnoStatus(errno, "start " + path);
}

}  // namespace gpuhost::gpuhostctl
