// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::pci {

// Offsets and bits of the PCI and PCI Express Base Specifications.
inline constexpr off_t kCommand = 0x04;
inline constexpr uint16_t kCommandMemory = 1u << 1;
inline constexpr uint16_t kCommandMaster = 1u << 2;
inline constexpr uint8_t kPowerManagementCapability = 0x01;
inline constexpr off_t kPmcsr = 4;  // from the start of the capability
inline constexpr uint16_t kPmcsrStateMask = 0x3;

// Configuration space of one function through sysfs `config`. For each access, whatever its offset,
// the kernel resumes the bridge above for its moment, and the function itself when that is in
// D3cold; a function in D1, D2 or D3hot stays there. Whoever must not wake a device looks at its
// power_state first. Beyond the first 64 bytes reading needs CAP_SYS_ADMIN. Writing fails with
// kPermissionDenied when the kernel is locked down. Source: Linux, drivers/pci/pci-sysfs.c
// (pci_read_config) and pci.c (pci_config_pm_runtime_get).
//
// While the function is being reset the kernel makes accesses wait, a minute and more where the
// function does not come back.
class ConfigSpace {
 public:
  // With a limit each read is done by a child process, for who must not wait for somebody else's
  // reset: kDeadlineExceeded.
  ConfigSpace(HostFs& fs, const Bdf& bdf, std::optional<Duration> read_limit = std::nullopt);

  absl::StatusOr<uint8_t> Read8(off_t offset) const;
  absl::StatusOr<uint16_t> Read16(off_t offset) const;
  absl::StatusOr<uint32_t> Read32(off_t offset) const;
  // One 16-bit access, so that neighbouring write-one-to-clear bits stay as they are.
  absl::Status Write16(off_t offset, uint16_t value);

  // Offset of a capability of the classic list; empty when the function has none of this id.
  absl::StatusOr<std::optional<off_t>> FindCapability(uint8_t id) const;

  // Offset of NVIDIA's own structure in the extended space: the vendor-specific capability with id
  // 1 and revision 1 (VSEC), or the designated vendor-specific one of vendor 10de with id 0
  // (DVSEC). Empty when there is none, also where the kernel shows no more than 256 bytes. Source:
  // PCI Express Base Specification 5.0, 7.9.5 and 7.9.6.
  enum class VendorStructure { kVsec, kDvsec };
  absl::StatusOr<std::optional<off_t>> FindVendorStructure(VendorStructure kind) const;
  // Whether the kernel shows this process the first 64 bytes alone, for want of CAP_SYS_ADMIN.
  bool IsCutShort() const;

 private:
  absl::StatusOr<std::string> Read(off_t offset, size_t count) const;

  HostFs& fs_;
  std::string path_;
  std::optional<Duration> read_limit_;
};

}  // namespace gpuhost::pci
