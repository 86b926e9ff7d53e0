// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/pci/bdf.h"

namespace gpuhost::pci {

inline constexpr uint16_t kNvidia = 0x10de;

enum class Kind {
  kGpu,        // class 0300 (VGA) or 0302 (3D controller)
  kNvSwitch,   // class 0680 (other bridge)
  kCompanion,  // any other NVIDIA function: audio, USB, UCSI
  kForeign,    // not vendor 10de; never written by gpuhost
};

// What the kernel shows of a function under the function's lock alone, see ReadGuarded.
struct Guarded {
  std::optional<std::string> driver_override;  // "" when it is not set; empty: no such attribute
  uint32_t virtual_functions = 0;              // how many of its own are enabled
};

// One PCI function as sysfs showed it at one moment. An attribute that the kernel does not offer is
// empty; nothing is guessed.
// Source: Documentation/ABI/testing/sysfs-bus-pci, sysfs-devices-vfio-dev.
struct Device {
  Bdf bdf;
  uint16_t vendor = 0;
  uint16_t device = 0;
  uint16_t subsystem_vendor = 0;
  uint16_t subsystem_device = 0;
  uint32_t class_code = 0;                    // 24 bits: base class, subclass, interface
  std::optional<std::string> driver;          // name of the bound driver
  std::optional<uint32_t> iommu_group;        // empty: no IOMMU for this device
  std::optional<uint32_t> vfio_cdev;          // N of /dev/vfio/devices/vfioN
  bool vfio_device = false;                   // registered with VFIO; shown from kernel 6.1 on
  std::vector<Bdf> bridges;                   // above it, the root port first; empty: unknown
  std::optional<int> numa_node;               // empty: unknown or -1
  std::optional<std::string> reset_methods;   // as listed by reset_method: "flr bus"
  std::optional<std::string> power_state;     // "D0", "D3hot", ...
  std::optional<std::string> power_control;   // "on": never suspended at run time; "auto"
  std::optional<std::string> d3cold_allowed;  // "1": may lose its main power while suspended
  std::optional<std::string> modalias;        // "pci:v000010DEd00002331sv...", see modules.alias
  bool is_virtual_function = false;
  bool boot_vga = false;       // the VGA device of the firmware, where consoles come up
  std::vector<Bdf> consumers;  // functions that need this one awake: links consumer:pci:<BDF>
  // Not OK: unknown, since nobody has asked, or the function was locked. A scan does not ask.
  absl::StatusOr<Guarded> guarded = absl::UnknownError("not asked");

  Kind kind() const;
  // A host bridge or PCI-to-PCI bridge: in an IOMMU group, but never handed to a virtual machine.
  bool IsBridge() const;
  // /sys/bus/pci/devices/<bdf>, with "/attribute" appended if one is given.
  std::string SysfsPath(std::string_view attribute = {}) const;
  // On vfio-pci or another driver of VFIO's: known by its name, or by what it registered.
  bool BoundToVfio() const;
};

// The generic VFIO driver and its variants.
bool IsVfioDriver(std::string_view driver);

std::string SysfsPath(const Bdf& bdf, std::string_view attribute = {});

}  // namespace gpuhost::pci
