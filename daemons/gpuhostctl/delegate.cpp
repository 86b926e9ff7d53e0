// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/delegate.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

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

absl::Status Become(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  std::error_code ignored;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", ignored);
  ::execv((own.parent_path() / program).c_str(), argv.data());
  if (errno == ENOENT) ::execvp(program.c_str(), argv.data());
  const int error = errno;
  if (error != ENOENT) return ErrnoStatus(error, fmt::format("start {}", program));
  return Error(absl::StatusCode::kNotFound,
               "{} is neither beside gpuhostctl nor on $PATH; install the package that has it",
               program);
}

}  // namespace gpuhost::gpuhostctl
