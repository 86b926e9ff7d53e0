// SPDX-License-Identifier: Apache-2.0
//
// What resources are called: <name> in the extended resource "nvidia.com/<name>" of Kubernetes, and
// the same in CDI, where it is the class. Kata puts the two together, so they are never different.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/pci/device.h"

namespace gpuhost::sandbox_device_plugin {

inline constexpr std::string_view kVendor = "nvidia.com";

// "nvidia.com/pgpu".
std::string FullName(std::string_view name);

// A name from pci.ids in capitals, blanks, slashes and dots as underscores, without brackets and
// the like: "GH100 [H100 SXM5 80GB]" is GH100_H100_SXM5_80GB. Letter for letter what
// formatDeviceName of NVIDIA's sandbox-device-plugin makes of it; not always a valid name.
std::string FormatDeviceName(std::string_view pci_name);

// A valid name for a model: FormatDeviceName where that is valid, else trimmed, given a first
// letter, or cut to 63 characters with a hash; DEVICE_3182 when `pci_name` is empty.
std::string ModelResourceName(std::string_view pci_name, uint16_t device);

// Devices that get a name of their own. One that is empty means any; else one of it must fit.
struct Selector {
  std::string name;
  std::vector<uint16_t> devices;  // PCI device ids
  std::vector<pci::Bdf> addresses;

  bool Selects(const pci::Device& device) const;
};

// What the configuration file says beside aliases.
struct NamingConfig {
  std::vector<Selector> resources;        // the first that selects a device names it
  std::vector<pci::Bdf> exclude;          // are offered to nobody
  std::map<uint16_t, std::string> names;  // of models, as in pci.ids, before those compiled in
};

class Naming {
 public:
  // pgpu and nvswitch.
  Naming() = default;
  // The values of P_GPU_ALIAS and NVSWITCH_ALIAS: not set, the default name; empty, a name for each
  // model; else the name of all GPUs or switches. kInvalidArgument when a name is not valid both in
  // Kubernetes and in CDI, or when GPUs and switches would have the same.
  static absl::StatusOr<Naming> Create(const std::optional<std::string>& gpu_alias,
                                       const std::optional<std::string>& nvswitch_alias,
                                       NamingConfig config = {});

  // The name for a GPU or an NVSwitch.
  std::string NameOf(const pci::Device& device) const;
  // Whether the configuration keeps it from everybody.
  bool Excludes(const pci::Device& device) const;

 private:
  std::string gpu_ = "pgpu";  // empty: a name for each model
  std::string nvswitch_ = "nvswitch";
  NamingConfig config_;
};

}  // namespace gpuhost::sandbox_device_plugin
