// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

enum class Goal {
  kVfio,        // on the VFIO driver that fits it best
  kTaken,       // from the drivers nvidia and nouveau; all others stay as they are
  kDriverless,  // from its VFIO driver; no other
  kDefault,     // the same, and back to the driver it had before, else to what the kernel chooses
  kNvidia,      // the same, and to the driver nvidia
};

// How the kernel maps a guest's memory for devices.
enum class Backend {
  kAuto,     // by groups; by iommufd where there are none
  kGroup,    // vfio_iommu_type1
  kIommufd,  // iommufd, with a node for each device
};

// A device by address ("0000:41:00.0") or a kind of device by its ids ("10de:2331").
struct Pattern {
  // kInvalidArgument for any other text.
  static absl::StatusOr<Pattern> Parse(std::string_view text);
  bool Matches(const pci::Device& device) const;

  std::optional<pci::Bdf> bdf;
  uint16_t vendor = 0, device = 0;
};

bool MatchesAny(const std::vector<Pattern>& patterns, const pci::Device& device);

struct Request {
  Goal goal = Goal::kVfio;
  std::vector<pci::Bdf> devices;  // these alone; empty: all GPUs of the machine
  bool nvswitches = false;        // NVSwitches too
  std::vector<Pattern> allow;     // nothing else; empty: everything
  std::vector<Pattern> deny;
  bool foreign = false;  // unbind also what something else bound to VFIO
  bool force = false;    // also where it cannot be seen who uses devices, or something is lost
  bool console = false;  // also the GPU that has the machine's screen
  Backend backend = Backend::kAuto;
  bool keep_awake = true;       // write power settings
  bool leave_released = false;  // devices that were unbound on request stay so
  // Devices that somebody else is changing now, and who.
  std::map<pci::Bdf, std::string> reserved;
  // Devices that no driver of the host may get back, and why: their next user would find them in
  // another mode than he thinks. On VFIO they are nobody's yet.
  std::map<pci::Bdf, std::string> unusable;
};

}  // namespace gpuhost::vfio
