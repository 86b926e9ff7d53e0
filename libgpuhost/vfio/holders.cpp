// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/holders.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/driver_nodes.h"
#include "libgpuhost/vfio/kernel_users.h"
#include "libgpuhost/vfio/open_devices.h"

namespace gpuhost::vfio {
namespace {

// "236:1", as sysfs has it in a file `dev`.
std::optional<dev_t> ReadNumber(const HostFs& fs, const std::string& path) {
  const std::string text = fs.ReadAttribute(path).value_or("");
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto major = ParseDecimal(std::string_view(text).substr(0, colon), UINT32_MAX);
  const auto minor = ParseDecimal(std::string_view(text).substr(colon + 1), UINT32_MAX);
  if (!major || !minor) return std::nullopt;
  return makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));
}

// "0::/kubepods.slice/kubepods-pod8d1c0b5e_....slice/cri-containerd-...scope", or with plain
// directories "/kubepods/burstable/pod8d1c0b5e-.../...": systemd wants underscores.
std::string PodOf(const HostFs& fs, std::string_view pid) {
  constexpr size_t kUidLength = 36;
  const std::string text = fs.Read(fmt::format("/proc/{}/cgroup", pid)).value_or("");
  const size_t pods = text.find("kubepods");
  if (pods == std::string::npos) return "";
  for (size_t at = text.find("pod", pods); at != std::string::npos; at = text.find("pod", at + 1)) {
    std::string uid = text.substr(at + 3, kUidLength);
    const bool is_uid = uid.size() == kUidLength &&
                        uid.find_first_not_of("0123456789abcdef-_") == std::string::npos;
    if (!is_uid) continue;
    std::ranges::replace(uid, '_', '-');
    return uid;
  }
  return "";
}

// Which device owns which node, by its number. Devices of one IOMMU group share its node.
struct Nodes {
  std::multimap<dev_t, pci::Bdf> characters;
  std::map<pci::Bdf, std::vector<Disk>> disks;
};

Nodes NodesOf(const HostFs& fs, std::span<const pci::Device> devices) {
  Nodes nodes;
  for (const pci::Device& device : devices) {
    std::vector<std::string> files;
    if (device.iommu_group) {
      for (const char* kind : {"", "noiommu-"}) {
        files.push_back(fmt::format("/sys/class/vfio/{}{}/dev", kind, *device.iommu_group));
      }
    }
    if (device.vfio_cdev) {
      files.push_back(fmt::format("/sys/class/vfio-dev/vfio{}/dev", *device.vfio_cdev));
    }
    for (const std::string& file : files) {
      if (const auto number = ReadNumber(fs, file)) nodes.characters.emplace(*number, device.bdf);
    }
    DriverNodes of_driver = FindDriverNodes(fs, device);
    for (const dev_t number : of_driver.characters) nodes.characters.emplace(number, device.bdf);
    if (!of_driver.disks.empty()) nodes.disks[device.bdf] = std::move(of_driver.disks);
  }
  return nodes;
}

}  // namespace

Holders FindHolders(const HostFs& fs, std::span<const pci::Device> devices, Duration limit) {
  const auto nodes = NodesOf(fs, devices);
  std::set<dev_t> numbers;
  for (const auto& node : nodes.characters) numbers.insert(node.first);
  const OpenDevices open = FindOpenDevices(fs.Resolve("/proc"), std::move(numbers), limit);
  Holders holders{.by_device = {}, .complete = open.complete};
  for (const auto& [pid, number] : open.found) {
    const auto [first, last] = nodes.characters.equal_range(number);
    for (auto node = first; node != last; ++node) {
      std::vector<Holder>& list = holders.by_device[node->second];
      if (!list.empty() && list.back().pid == pid) continue;
      const std::string name = fmt::format("{}", pid);
      list.push_back({pid, fs.ReadAttribute(fmt::format("/proc/{}/comm", name)).value_or("?"),
                      PodOf(fs, name)});
    }
  }
  for (const auto& [bdf, disks] : nodes.disks) {
    for (const std::string& use : UsesOf(fs, disks)) {
      holders.by_device[bdf].push_back({.command = use, .pod = ""});
    }
  }
  return holders;
}

std::string ToString(std::span<const Holder> holders) {
  std::string text;
  for (const Holder& holder : holders) {
    if (!text.empty()) text += ", ";
    text += holder.command;
    if (holder.pid == 0) continue;
    text +=
        fmt::format(" (pid {}{}{})", holder.pid, holder.pod.empty() ? "" : ", pod ", holder.pod);
  }
  return text;
}

}  // namespace gpuhost::vfio
