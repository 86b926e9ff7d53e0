// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string_view>

#include "daemons/common/service/instance.h"

namespace gpuhost::fake {

// Another process that claims to be `daemon` (service::Instance) until it is killed.
class OtherDaemon {
 public:
  OtherDaemon(HostFs& fs, std::string_view daemon) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto instance = service::Instance::Claim(fs, daemon);
      const char done = instance.ok() ? 'y' : 'n';
      if (::write(ends[1], &done, 1) == 1) ::pause();
      ::_exit(0);
    }
    char done = 0;
    const bool claimed = ::read(ends[0], &done, 1) == 1 && done == 'y';
    ::close(ends[0]);
    ::close(ends[1]);
    if (!claimed) throw std::runtime_error("the other process could not claim its name");
  }
  ~OtherDaemon() { Kill(); }
  OtherDaemon(const OtherDaemon&) = delete;
  OtherDaemon& operator=(const OtherDaemon&) = delete;

  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace gpuhost::fake
