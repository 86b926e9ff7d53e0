// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/driver_nodes.h"

#include <sys/sysmacros.h>

#include <optional>
#include <sstream>
#include <string_view>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr unsigned kNvidiaMajor = 195;    // where /proc/devices does not tell
constexpr unsigned kSwitches = 64;        // NVSWITCH_DEVICE_INSTANCE_MAX
constexpr unsigned kSwitchControl = 255;  // /dev/nvidia-nvswitchctl
constexpr int kDeepest = 12;              // a disk on USB lies nine below its controller

std::vector<std::string> Names(const HostFs& fs, const std::string& directory) {
  return fs.List(directory).value_or(std::vector<std::string>());
}

std::optional<dev_t> ParseNumber(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto major = ParseDecimal(text.substr(0, colon), UINT32_MAX);
  const auto minor = ParseDecimal(text.substr(colon + 1), UINT32_MAX);
  if (!major || !minor) return std::nullopt;
  return makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));
}

// The number behind `key` in a text like "Device Minor: \t 3".
std::optional<unsigned> ValueOf(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t start = text.find_first_of("0123456789", at + key.size());
  if (start == std::string_view::npos) return std::nullopt;
  const size_t end = text.find_first_not_of("0123456789", start);
  const auto value = ParseDecimal(text.substr(start, end - start), UINT32_MAX);
  return value ? std::optional(static_cast<unsigned>(*value)) : std::nullopt;
}

// The major number in a line "195 nvidia" of /proc/devices, for the first of `names` that is there.
std::optional<unsigned> MajorOf(const HostFs& fs, std::initializer_list<std::string_view> names) {
  std::istringstream lines(fs.Read("/proc/devices").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string major, name;
    words >> major >> name;
    for (const std::string_view wanted : names) {
      if (name != wanted) continue;
      if (const auto number = ParseDecimal(major, 4095)) return static_cast<unsigned>(*number);
    }
  }
  return std::nullopt;
}

// Files `dev` of the directories below. Links lead to other devices, and functions behind a bridge
// are none of this one's.
void Walk(const HostFs& fs, const std::string& directory, bool block, int depth,
          DriverNodes& nodes) {
  if (depth > kDeepest) return;
  for (const std::string& name : Names(fs, directory)) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (name == "dev") {
      const std::string text = fs.ReadAttribute(path).value_or("");
      const auto number = ParseNumber(text);
      if (!number) continue;
      if (block) {
        nodes.disks.push_back({directory.substr(directory.rfind('/') + 1), text, directory});
      } else {
        nodes.characters.push_back(*number);
      }
    } else if (!pci::Bdf::Parse(name).ok() && !fs.ReadLink(path).ok()) {
      Walk(fs, path, block || name == "block", depth + 1, nodes);
    }
  }
}

// Lines "DeviceFileMinor: 22" in the files below: MIG instances of one GPU.
void WalkCapabilities(const HostFs& fs, const std::string& directory, unsigned major, int depth,
                      DriverNodes& nodes) {
  if (depth > kDeepest) return;
  for (const std::string& name : Names(fs, directory)) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (const auto text = fs.Read(path); text.ok()) {
      const auto minor = ValueOf(*text, "DeviceFileMinor:");
      if (minor) nodes.characters.push_back(makedev(major, *minor));
    } else {
      WalkCapabilities(fs, path, major, depth + 1, nodes);
    }
  }
}

void AddNvidia(const HostFs& fs, const pci::Bdf& bdf, DriverNodes& nodes) {
  const std::string information =
      fs.Read(fmt::format("/proc/driver/nvidia/gpus/{}/information", bdf)).value_or("");
  const auto minor = ValueOf(information, "Device Minor:");
  if (!minor) return;
  // "nvidia-frontend" before driver 545.
  const unsigned major = MajorOf(fs, {"nvidia", "nvidia-frontend"}).value_or(kNvidiaMajor);
  nodes.characters.push_back(makedev(major, *minor));
  if (const auto capabilities = MajorOf(fs, {"nvidia-caps"})) {
    WalkCapabilities(fs, fmt::format("/proc/driver/nvidia/capabilities/gpu{}", *minor),
                     *capabilities, 0, nodes);
  }
}

void AddSwitches(const HostFs& fs, DriverNodes& nodes) {
  const auto major = MajorOf(fs, {"nvidia-nvswitch"});
  if (!major) return;
  for (unsigned minor = 0; minor < kSwitches; ++minor) {
    nodes.characters.push_back(makedev(*major, minor));
  }
  nodes.characters.push_back(makedev(*major, kSwitchControl));
}

}  // namespace

DriverNodes FindDriverNodes(const HostFs& fs, const pci::Device& device) {
  DriverNodes nodes;
  if (!device.driver || device.BoundToVfio()) return nodes;
  Walk(fs, device.SysfsPath(), /*block=*/false, 0, nodes);
  if (device.driver == "nvidia") AddNvidia(fs, device.bdf, nodes);
  if (device.driver == "nvidia-nvswitch") AddSwitches(fs, nodes);
  return nodes;
}

}  // namespace gpuhost::vfio
