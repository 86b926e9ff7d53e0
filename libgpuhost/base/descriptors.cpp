// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/descriptors.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace gpuhost {
namespace {

void CloseRange(unsigned first, unsigned last) {
  if (::close_range(first, last, 0) == 0) return;
  // A seccomp filter that does not know the call; the limit may have been higher once.
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto end = static_cast<unsigned>(std::clamp<rlim_t>(limit.rlim_cur, 1024, 1 << 16));
  for (unsigned fd = first; fd <= std::min(last, end); ++fd) ::close(static_cast<int>(fd));
}

}  // namespace

void CloseOthers(int first, std::span<const int> keep) {
  auto next = static_cast<unsigned>(first);
  while (true) {
    // The lowest that stays, from `next` on.
    int stays = -1;
    for (const int fd : keep) {
      if (fd >= static_cast<int>(next) && (stays < 0 || fd < stays)) stays = fd;
    }
    if (stays < 0) return CloseRange(next, ~0u);
    if (static_cast<unsigned>(stays) > next) CloseRange(next, static_cast<unsigned>(stays) - 1);
    next = static_cast<unsigned>(stays) + 1;
  }
}

}  // namespace gpuhost
