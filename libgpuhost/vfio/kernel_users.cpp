// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/kernel_users.h"

#include <optional>
#include <sstream>

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

// Where process 1 has it mounted. Source: proc(5): field 3 is the number, 5 the mount point, and
// behind " - " stand type and source, which tells where the number is the file system's own.
std::optional<std::string> MountedOn(const std::string& mounts, const Disk& disk) {
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, number, root, point, word, type, source;
    words >> id >> parent >> number >> root >> point;
    while (words >> word && word != "-") {
    }
    words >> type >> source;
    if (number == disk.number || source == "/dev/" + disk.name) return point;
  }
  return std::nullopt;
}

bool IsSwap(const std::string& swaps, const Disk& disk) {
  return swaps.find(fmt::format("/dev/{} ", disk.name)) != std::string::npos ||
         swaps.find(fmt::format("/dev/{}\t", disk.name)) != std::string::npos;
}

}  // namespace

std::vector<std::string> UsesOf(const HostFs& fs, std::span<const Disk> disks) {
  std::vector<std::string> uses;
  if (disks.empty()) return uses;
  const std::string mounts = fs.Read("/proc/1/mountinfo").value_or("");
  const std::string swaps = fs.Read("/proc/swaps").value_or("");
  for (const Disk& disk : disks) {
    const auto holders = fs.List(disk.path + "/holders").value_or(std::vector<std::string>());
    if (const auto point = MountedOn(mounts, disk)) {
      uses.push_back(fmt::format("the kernel (disk {}, mounted on {})", disk.name, *point));
    } else if (IsSwap(swaps, disk)) {
      uses.push_back(fmt::format("the kernel (disk {}, which it swaps to)", disk.name));
    } else if (!holders.empty()) {
      uses.push_back(
          fmt::format("the kernel (disk {}, on which {} stands)", disk.name, holders[0]));
    }
  }
  return uses;
}

std::string ModulesOnNvidia(const HostFs& fs) {
  std::string modules;
  for (const std::string& name :
       fs.List("/sys/module/nvidia/holders").value_or(std::vector<std::string>())) {
    modules += (modules.empty() ? "" : ", ") + name;
  }
  return modules;
}

}  // namespace gpuhost::vfio
