// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::vfio {

// One line of modules.alias that offers a VFIO driver: some GPUs need another one than the generic
// (a Grace GPU's memory is only seen by a guest through nvgrace_gpu_vfio_pci).
// Source: scripts/mod/file2alias.c of Linux, which writes "vfio_pci:" before the ids of drivers
// that ask for an override.
struct Alias {
  std::string pattern;  // "v000010DEd00002342sv*sd*bc*sc*i*", with the wildcards of a shell
  std::string module;
};

// Those of the running kernel, in the file's order. kNotFound when it has no such file, as kernels
// without modules have none.
absl::StatusOr<std::vector<Alias>> ReadAliases(const HostFs& fs);

// The module whose driver fits a device best: the pattern with the fewest wildcards; of those the
// one that spells out most; of those the first. "vfio_pci" when none fits or `modalias` is none of
// a PCI device.
std::string BestModule(std::string_view modalias, std::span<const Alias> aliases);

// Whether it is the module of the generic driver.
bool IsGeneric(std::string_view module);

}  // namespace gpuhost::vfio
