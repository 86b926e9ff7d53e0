// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/holders.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr int kNvidiaMajor = 195;

// "Device Minor: 	 3" in /proc/driver/nvidia/gpus/<bdf>/information names /dev/nvidia3.
std::optional<std::string> NvidiaMinor(const HostFs& fs, const pci::Bdf& bdf) {
  const std::string text =
      fs.Read(fmt::format("/proc/driver/nvidia/gpus/{}/information", bdf)).value_or("");
  constexpr std::string_view kKey = "Device Minor:";
  const size_t key = text.find(kKey);
  if (key == std::string::npos) return std::nullopt;
  const size_t start = text.find_first_of("0123456789", key + kKey.size());
  if (start == std::string::npos) return std::nullopt;
  return text.substr(start, text.find_first_not_of("0123456789", start) - start);
}

// Nodes that an ordinary driver made, by number: /sys/bus/pci/devices/<bdf>/drm/card0/dev.
std::vector<std::string> NodesOfDriver(const HostFs& fs, const pci::Device& device) {
  std::vector<std::string> numbers;
  const auto collect = [&](const std::string& directory) {
    for (const std::string& name : fs.List(directory).value_or(std::vector<std::string>())) {
      auto number = fs.ReadAttribute(fmt::format("{}/{}/dev", directory, name));
      if (number.ok()) numbers.push_back(*std::move(number));
    }
  };
  collect(device.SysfsPath("drm"));
  const std::string sound = device.SysfsPath("sound");
  for (const std::string& card : fs.List(sound).value_or(std::vector<std::string>())) {
    collect(fmt::format("{}/{}", sound, card));
  }
  return numbers;
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

// Which device owns which node, by its path and by its number "236:1": a process in a container may
// have it under another path. Devices of one IOMMU group share its node.
std::multimap<std::string, pci::Bdf> NodesOf(const HostFs& fs,
                                             std::span<const pci::Device> devices) {
  std::multimap<std::string, pci::Bdf> nodes;
  const auto add = [&](const pci::Device& device, std::string path, const std::string& attribute) {
    nodes.emplace(std::move(path), device.bdf);
    if (auto number = fs.ReadAttribute(attribute); number.ok()) nodes.emplace(*number, device.bdf);
  };
  for (const pci::Device& device : devices) {
    if (device.iommu_group) {
      add(device, fmt::format("/dev/vfio/{}", *device.iommu_group),
          fmt::format("/sys/class/vfio/{}/dev", *device.iommu_group));
    }
    if (device.vfio_cdev) {
      add(device, fmt::format("/dev/vfio/devices/vfio{}", *device.vfio_cdev),
          fmt::format("/sys/class/vfio-dev/vfio{}/dev", *device.vfio_cdev));
    }
    if (device.driver && !device.BoundToVfio()) {
      for (std::string& number : NodesOfDriver(fs, device)) {
        nodes.emplace(std::move(number), device.bdf);
      }
    }
    if (device.driver == "nvidia") {
      if (const auto minor = NvidiaMinor(fs, device.bdf)) {
        nodes.emplace(fmt::format("/dev/nvidia{}", *minor), device.bdf);
        nodes.emplace(fmt::format("{}:{}", kNvidiaMajor, *minor), device.bdf);
      }
    }
  }
  return nodes;
}

}  // namespace

Holders FindHolders(const HostFs& fs, std::span<const pci::Device> devices) {
  const auto nodes = NodesOf(fs, devices);
  Holders holders;
  for (const std::string& name : fs.List("/proc").value_or(std::vector<std::string>())) {
    const auto pid = ParseDecimal(name, INT32_MAX);
    if (!pid) continue;
    const std::string directory = fmt::format("/proc/{}/fd", name);
    for (const std::string& fd : fs.List(directory).value_or(std::vector<std::string>())) {
      const std::string path = fmt::format("{}/{}", directory, fd);
      const auto target = fs.ReadLink(path);
      if (!target.ok() || !target->starts_with('/')) continue;  // a socket, a pipe
      auto [first, last] = nodes.equal_range(*target);
      if (first == last) {
        std::tie(first, last) = nodes.equal_range(fs.CharacterDevice(path).value_or(""));
      }
      for (auto node = first; node != last; ++node) {
        std::vector<Holder>& list = holders.by_device[node->second];
        const bool known = !list.empty() && list.back().pid == static_cast<int>(*pid);
        if (known) continue;
        list.push_back({static_cast<int>(*pid),
                        fs.ReadAttribute(fmt::format("/proc/{}/comm", name)).value_or("?"),
                        PodOf(fs, name)});
      }
    }
  }
  return holders;
}

std::string ToString(std::span<const Holder> holders) {
  std::string text;
  for (const Holder& holder : holders) {
    text += fmt::format("{}{} (pid {}{}{})", text.empty() ? "" : ", ", holder.command, holder.pid,
                        holder.pod.empty() ? "" : ", pod ", holder.pod);
  }
  return text;
}

}  // namespace gpuhost::vfio
