// SPDX-License-Identifier: Apache-2.0
#include "test/fake/other_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "daemons/common/service/instance.h"

namespace gpuhost::fake {

OtherProcess::OtherProcess(HostFs& fs, std::string_view daemon) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto instance = service::Instance::Claim(fs, daemon);
    const char done = instance.ok() ? 'y' : 'n';
    if (::write(ends[1], &done, 1) == 1) ::pause();
    ::_exit(0);
  }
  char done = 0;
  const bool heard = ::read(ends[0], &done, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  if (!heard || done != 'y') throw std::runtime_error("no lock");
}

void OtherProcess::Kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace gpuhost::fake
