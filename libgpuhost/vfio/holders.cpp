// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/holders.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/open_devices.h"

namespace gpuhost::vfio {
namespace {

// What the driver nvidia has had since its beginning; /proc/devices says what it has here.
constexpr unsigned kNvidiaMajor = 195;

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

// A line "195 nvidia" of /proc/devices; "195 nvidia-frontend" before driver 545.
unsigned NvidiaMajor(const HostFs& fs) {
  std::istringstream lines(fs.Read("/proc/devices").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string major, name;
    words >> major >> name;
    if (name != "nvidia" && name != "nvidia-frontend") continue;
    if (const auto number = ParseDecimal(major, 4095)) return static_cast<unsigned>(*number);
  }
  return kNvidiaMajor;
}

// "Device Minor: \t 3" in /proc/driver/nvidia/gpus/<bdf>/information names /dev/nvidia3.
std::optional<dev_t> NvidiaNumber(const HostFs& fs, const pci::Bdf& bdf) {
  const std::string text =
      fs.Read(fmt::format("/proc/driver/nvidia/gpus/{}/information", bdf)).value_or("");
  constexpr std::string_view kKey = "Device Minor:";
  const size_t key = text.find(kKey);
  if (key == std::string::npos) return std::nullopt;
  const size_t start = text.find_first_of("0123456789", key + kKey.size());
  if (start == std::string::npos) return std::nullopt;
  const auto minor = ParseDecimal(
      text.substr(start, text.find_first_not_of("0123456789", start) - start), UINT32_MAX);
  if (!minor) return std::nullopt;
  return makedev(NvidiaMajor(fs), static_cast<unsigned>(*minor));
}

// Files that tell the numbers of the nodes that an ordinary driver made:
// /sys/bus/pci/devices/<bdf>/drm/card0/dev.
std::vector<std::string> FilesOfDriver(const HostFs& fs, const pci::Device& device) {
  std::vector<std::string> files;
  const auto collect = [&](const std::string& directory) {
    for (const std::string& name : fs.List(directory).value_or(std::vector<std::string>())) {
      files.push_back(fmt::format("{}/{}/dev", directory, name));
    }
  };
  collect(device.SysfsPath("drm"));
  const std::string sound = device.SysfsPath("sound");
  for (const std::string& card : fs.List(sound).value_or(std::vector<std::string>())) {
    collect(fmt::format("{}/{}", sound, card));
  }
  return files;
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
std::multimap<dev_t, pci::Bdf> NodesOf(const HostFs& fs, std::span<const pci::Device> devices) {
  std::multimap<dev_t, pci::Bdf> nodes;
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
    if (device.driver && !device.BoundToVfio()) {
      const auto more = FilesOfDriver(fs, device);
      files.insert(files.end(), more.begin(), more.end());
    }
    for (const std::string& file : files) {
      if (const auto number = ReadNumber(fs, file)) nodes.emplace(*number, device.bdf);
    }
    if (device.driver == "nvidia") {
      if (const auto number = NvidiaNumber(fs, device.bdf)) nodes.emplace(*number, device.bdf);
    }
  }
  return nodes;
}

}  // namespace

Holders FindHolders(const HostFs& fs, std::span<const pci::Device> devices, Duration limit) {
  const auto nodes = NodesOf(fs, devices);
  std::set<dev_t> numbers;
  for (const auto& node : nodes) numbers.insert(node.first);
  const OpenDevices open = FindOpenDevices(fs.Resolve("/proc"), std::move(numbers), limit);
  Holders holders{.by_device = {}, .complete = open.complete};
  for (const auto& [pid, number] : open.found) {
    const auto [first, last] = nodes.equal_range(number);
    for (auto node = first; node != last; ++node) {
      std::vector<Holder>& list = holders.by_device[node->second];
      if (!list.empty() && list.back().pid == pid) continue;
      const std::string name = fmt::format("{}", pid);
      list.push_back({pid, fs.ReadAttribute(fmt::format("/proc/{}/comm", name)).value_or("?"),
                      PodOf(fs, name)});
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
