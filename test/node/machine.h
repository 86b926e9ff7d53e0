// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "libgpuhost/base/unique_fd.h"
#include "test/node/options.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::node {

// The virtual GPUs and NVSwitches of a node, each served to QEMU by a thread of its own.
class Devices {
 public:
  explicit Devices(const Options& options);

  size_t size() const { return gpus_.size(); }
  // QEMU's end of the socket of each device, by slot; QEMU inherits them, and then they must be
  // closed here.
  const std::vector<std::vector<int>>& sockets() const { return slots_; }
  void CloseSockets() { qemu_ends_.clear(); }
  // One line for each device whose BAR0 was written while that was forbidden, and for each rule of
  // the protocol that was broken.
  std::vector<std::string> Violations() const;

 private:
  // A board in a slot of its own, with its other functions.
  void AddSlot(const vgpu::Board& board, const Options& options);
  // Another board in the last slot, as its next function.
  void AddBeside(const vgpu::Board& board, const Options& options);
  vgpu::VirtualGpu& Add(const vgpu::Board& board, const Options& options);

  SystemClock clock_;
  std::vector<std::unique_ptr<vgpu::VirtualGpu>> gpus_;
  std::vector<vgpu::VirtualGpu*> leads_;  // the first function of each board
  std::vector<std::vector<int>> slots_;
  std::vector<UniqueFd> qemu_ends_;
  std::vector<std::jthread> servers_;  // ends when QEMU closes its end
};

}  // namespace gpuhost::node
