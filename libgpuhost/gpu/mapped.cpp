// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/mapped.h"

#include <setjmp.h>
#include <signal.h>

#include <mutex>

namespace gpuhost::gpu {
namespace {

// Where this thread goes on when its access fails; nullptr: it is in none. SIGBUS for an access
// comes to the thread that made it.
thread_local sigjmp_buf* volatile t_way_out = nullptr;
struct sigaction g_earlier {};

void OnBusError(int signal, siginfo_t* info, void* context) {
  if (sigjmp_buf* const way_out = t_way_out; way_out != nullptr) ::siglongjmp(*way_out, 1);
  if ((g_earlier.sa_flags & SA_SIGINFO) != 0) return g_earlier.sa_sigaction(signal, info, context);
  if (g_earlier.sa_handler != SIG_DFL && g_earlier.sa_handler != SIG_IGN) {
    return g_earlier.sa_handler(signal);
  }
  ::signal(SIGBUS, SIG_DFL);  // the access is made again, and ends the process
}

// Nothing in here has a destructor, for siglongjmp runs none.
template <typename Access>
bool Guarded(Access access) {
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) {
    t_way_out = nullptr;
    return false;
  }
  t_way_out = &here;
  access();
  t_way_out = nullptr;
  return true;
}

}  // namespace

void CatchBusErrors() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = OnBusError;
    // The signal is not blocked in its handler, which is left by a jump that restores no mask.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &g_earlier);
  });
}

bool ReadMapped(const volatile uint32_t* address, uint32_t& value) {
  return Guarded([&value, address] { value = *address; });
}

bool WriteMapped(volatile uint32_t* address, uint32_t value) {
  return Guarded([address, value] { *address = value; });
}

}  // namespace gpuhost::gpu
