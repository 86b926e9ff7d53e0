// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/lock_owner.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::pci {
namespace {

// Whether a write to this file locks the function: one of its own, or one of its driver's.
bool Locks(std::string_view path, const Device& device) {
  constexpr std::array<std::string_view, 6> kOwn = {"/reset",  "/remove",       "/driver_override",
                                                    "/enable", "/sriov_numvfs", "/rescan"};
  if (!path.starts_with("/sys/")) return false;
  const bool binds = path.ends_with("/unbind") || path.ends_with("/bind");
  // An unbind takes the link to the driver away first, and waits then.
  if (binds) return !device.driver || path.find("/" + *device.driver + "/") != path.npos;
  return path.find(device.bdf.ToString()) != std::string_view::npos &&
         std::ranges::any_of(kOwn, [&](std::string_view end) { return path.ends_with(end); });
}

// Whether a descriptor is open for writing: who reads such a file waits for the lock himself.
bool IsForWriting(const HostFs& fs, const std::string& pid, const std::string& fd) {
  constexpr std::string_view kFlags = "flags:\t";
  const std::string info = fs.Read(fmt::format("/proc/{}/fdinfo/{}", pid, fd)).value_or("");
  const size_t flags = info.find(kFlags);
  const size_t end = flags == std::string::npos ? flags : info.find('\n', flags + kFlags.size());
  // In octal digits; the last has the mode of access.
  return end != std::string::npos && ((info[end - 1] - '0') & O_ACCMODE) != O_RDONLY;
}

}  // namespace

std::string WhoLocks(const HostFs& fs, const Device& device) {
  for (const std::string& pid : fs.List("/proc").value_or(std::vector<std::string>())) {
    if (!ParseDecimal(pid)) continue;
    const std::string directory = fmt::format("/proc/{}/fd", pid);
    for (const std::string& fd : fs.List(directory).value_or(std::vector<std::string>())) {
      const std::string file = fs.ReadLink(fmt::format("{}/{}", directory, fd)).value_or("");
      if (!Locks(file, device) || !IsForWriting(fs, pid, fd)) continue;
      return fmt::format("process {} ({}), which writes to {}", pid,
                         fs.ReadAttribute(fmt::format("/proc/{}/comm", pid)).value_or("?"), file);
    }
  }
  return FileLock::HeldBy(fs, device.bdf.ToString()).value_or("a process that cannot be told");
}

}  // namespace gpuhost::pci
