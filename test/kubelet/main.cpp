// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/status.h"
#include "test/kubelet/options.h"
#include "test/kubelet/stand_in.h"

namespace {

using namespace gpuhost;

void Print(const std::string& line) {
  fmt::print("kubelet: {}\n", line);
  std::fflush(stdout);
}

int Healthy(const kubelet::Resources& resources) {
  int count = 0;
  for (const auto& [name, resource] : resources) {
    count += static_cast<int>(std::ranges::count_if(resource.devices, &kubelet::Device::healthy));
  }
  return count;
}

bool Allocate(kubelet::StandIn& stand_in, const std::string& resource, size_t count) {
  std::vector<std::string> ids;
  kubelet::Resources resources = stand_in.resources();
  for (const kubelet::Device& device : resources[resource].devices) {
    if (device.healthy && ids.size() < count) ids.push_back(device.id);
  }
  if (ids.size() < count) {
    Print(fmt::format("cannot allocate {} of {}: {} are healthy", count, resource, ids.size()));
    return false;
  }
  const auto specs = stand_in.Allocate(resource, ids);
  if (!specs.ok()) {
    Print(fmt::format("{}={} not allocated: {}", resource, fmt::join(ids, ","),
                      Text(specs.status())));
    return false;
  }
  Print(fmt::format("allocated {}={}", resource, fmt::join(ids, ",")));
  for (const kubelet::DeviceSpec& spec : *specs) {
    Print(fmt::format("  {} as {} {}", spec.host_path, spec.container_path, spec.permissions));
  }
  return true;
}

// As a kubelet that knows of no pod, where there is none yet: pods here are gone at once.
absl::Status WriteCheckpoint(const std::string& directory) {
  HostFs fs;
  const std::string path = directory + "/kubelet_internal_checkpoint";
  if (fs.Exists(path)) return absl::OkStatus();
  GPUHOST_TRY(fs.MakeDirectories(directory));
  return fs.WriteFileAtomic(
      path, R"({"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":0})", 0600);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = kubelet::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<kubelet::Options>(parsed);

  const absl::Status written = WriteCheckpoint(options.directory);
  if (!written.ok()) Print(Text(written));
  auto stand_in = kubelet::StandIn::Start(options.directory, Print);
  if (!stand_in.ok()) {
    Print(Text(stand_in.status()));
    return 1;
  }
  const bool reached = (*stand_in)->WaitFor(
      std::chrono::seconds(options.timeout),
      [&](const auto& resources) { return options.until_devices == Healthy(resources); });
  if (!reached && options.until_devices) {
    Print(fmt::format("waited {} s for {} healthy devices, there are {}", options.timeout,
                      *options.until_devices, Healthy((*stand_in)->resources())));
    return 1;
  }
  for (const auto& [resource, count] : options.allocate) {
    if (!Allocate(**stand_in, resource, count)) return 1;
  }
  return 0;
}
