// SPDX-License-Identifier: Apache-2.0
//
// What the kernel makes of the words about the IOMMU on its command line: in their order, comma
// lists word by word, and of each drivers' own words only those of the processor that is there.
// Source: Linux 6.17, arch/x86/kernel/pci-dma.c (iommu=), drivers/iommu/iommu.c
// (iommu.passthrough=), drivers/iommu/amd/init.c (amd_iommu=), drivers/iommu/intel/iommu.c
// (intel_iommu=), lib/kstrtox.c (kstrtobool). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace gpuhost::node_validator {

struct IommuWords {
  std::optional<bool> passthrough;  // the last word about it; empty: the kernel's default
  std::string passthrough_word;     // that says so, as it stands there
  std::vector<std::string> off;     // for all drivers
  std::string amd_off, intel_off;   // the word that switches that driver off; empty: none
  bool intel_on = false;
  std::string amd_second_format;  // the word that chooses page tables of version 2
};

IommuWords ReadIommuWords(const std::vector<std::string>& command_line);

}  // namespace gpuhost::node_validator
