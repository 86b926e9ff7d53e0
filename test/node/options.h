// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "test/vgpu/board.h"
#include "test/vgpu/fault.h"

namespace gpuhost::node {

struct Options {
  std::string kernel, initramfs;
  int gpus = 1;
  int nvswitches = 0;
  std::vector<const vgpu::Board*> boards;  // of the GPUs; the last stands for all that follow
  Duration boot_time = std::chrono::milliseconds(1500);
  std::vector<std::pair<size_t, vgpu::Fault>> faults;  // index of the GPU
  bool forbid_bar_writes = false;
  bool iommu = true;
  bool foreign_member = false;
  bool paired = false;  // the first two GPUs share a slot
  bool network = false;
  int memory_mib = 2048;
  Duration limit = std::chrono::seconds(600);
  std::vector<std::string> path;  // put in front of the node's PATH
  bool shell = false;
  bool verbose = false;
  std::vector<std::string> command;
};

// The options, or the exit status when there is nothing to do; the text has been printed.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::node
