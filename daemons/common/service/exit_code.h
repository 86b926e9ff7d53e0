// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace gpuhost::service {

// Exit status of every gpuhost program. Units do not restart on kUsage and kImpossible.
enum ExitCode : int {
  kDone = 0,
  kUsage = 1,       // wrong option or configuration; nothing was looked at
  kFailed = 3,      // refused or failed for at least one device; the text says which and why
  kImpossible = 4,  // this machine cannot do it: no IOMMU, no GPU, no PCI
};

}  // namespace gpuhost::service
