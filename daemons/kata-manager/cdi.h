// SPDX-License-Identifier: Apache-2.0
//
// CDI files that give "nvidia.com/pgpu=7" a meaning where no device plugin does. Kata reads all of
// them for every GPU pod and fails the pod on one bad file.
// Source: container-device-interface SPEC.md, version 0.5.0.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/drift.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::kata_manager {

// What one name in a file stands for.
struct CdiDevice {
  std::string name;
  std::string node;  // /dev/vfio/devices/vfioN, or /dev/vfio/<IOMMU group>

  bool operator==(const CdiDevice&) const = default;
};

// Names for the devices among `devices` (GPUs, or NVSwitches) that a guest can be given: as device
// plugins of all generations number them. With iommufd a function is N and vfioN, and has the
// number of its IOMMU group too where that is the group's only one and means nothing else; without,
// a group is its number. Nothing has two names that are the same, or two nodes.
std::vector<CdiDevice> CdiDevicesOf(const HostFs& fs, const std::vector<pci::Device>& devices,
                                    pci::Kind kind);

// The file for these; ours is known by its first lines.
std::string RenderCdi(const std::string& kind, const std::vector<CdiDevice>& devices);

struct CdiOutcome {
  std::string kind;   // nvidia.com/pgpu, nvidia.com/nvswitch
  std::string owner;  // of the file: "us", "sandbox-device-plugin", "somebody else", ""
  std::vector<CdiDevice> devices;  // in the file
  absl::Status status;             // what is wrong with it
};

// Makes the two files in /var/run/cdi right, or only looks at those that somebody else writes: a
// device plugin that lives or has left its file, or a file that does not begin as ours do. Without
// devices there is no file, as it would not be valid. With `drift` a file of ours that somebody
// else changes again and again is given up.
std::vector<CdiOutcome> LookAfterCdi(HostFs& fs, CdiMode mode, Drift* drift = nullptr);

// The path of a CDI file that NVIDIA's kata-manager has left. It is told by that one's habit to
// give a device several names, which no device plugin does. Empty: there is none.
std::optional<std::string> LegacyCdi(const HostFs& fs);

// Takes away those that are ours.
absl::Status RemoveCdi(HostFs& fs);

}  // namespace gpuhost::kata_manager
