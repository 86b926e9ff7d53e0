// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::fake {

// A daemon of that name that lives on the node, as far as its lock tells, until it is killed.
class OtherProcess {
 public:
  OtherProcess(HostFs& fs, std::string_view daemon);
  ~OtherProcess() { Kill(); }
  void Kill();

 private:
  int pid_ = 0;
};

}  // namespace gpuhost::fake
