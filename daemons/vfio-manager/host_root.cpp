// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/host_root.h"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace gpuhost::vfio_manager {
namespace {

bool IsWholeHost(const std::string& root) {
  constexpr std::array kParts = {"/usr", "/sys/bus/pci", "/proc/self"};
  return std::ranges::all_of(
      kParts, [&](const char* part) { return ::access((root + part).c_str(), F_OK) == 0; });
}

}  // namespace

std::string HostRoot(const std::string& given, const std::string& mounted) {
  if (given.empty() || given == "/") return "/";
  if (IsWholeHost(mounted)) return mounted;
  return IsWholeHost(given) ? given : "/";
}

}  // namespace gpuhost::vfio_manager
