// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "libgpuhost/cc/mode.h"
#include "libgpuhost/gpu/registers.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::fake {

// A whole GPU host inside the test process: a fake kernel, virtual GPUs, a clock that jumps.
class Machine : public gpu::RegisterSource {
 public:
  // `count` GPUs of `board` at 0000:01:00.0, 0000:02:00.0, ..., each in its own IOMMU group, bound
  // to vfio-pci.
  explicit Machine(int count = 1, std::string_view board = "h100-pcie");
  // One device of each of these boards.
  explicit Machine(const std::vector<std::string_view>& boards);

  vgpu::VirtualGpu& gpu(size_t index) { return *gpus_.at(index); }
  size_t size() const { return gpus_.size(); }
  static std::string BdfOf(size_t index);
  pci::Device DeviceOf(size_t index);
  // As the registers say, whether booted or not, and as the knobs say.
  cc::State Effective(size_t index);
  cc::State Pending(size_t index);
  // The device as after a change to `mode` long ago.
  void Bring(size_t index, cc::Mode mode);
  // Makes it look as if process `pid` had a GPU's VFIO group open.
  void HoldOpen(size_t index, int pid, const std::string& command);

  // The same with a virtual machine that starts: vfio-pci resets the device, and the kernel takes
  // its registers from everybody else, also from those who have mapped them.
  void RunVirtualMachine(size_t index, int pid);
  void EndVirtualMachine(size_t index, int pid);

  // From now on GPU `index` may be talked to against the rules of its protocol; else that ends the
  // test program with the rule's name.
  void AllowBreaches(size_t index) { gpu(index).OnBreach({}); }

  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override;
  gpu::Host host() { return {kernel, clock, *this}; }

  TempRoot root;
  FakeClock clock;
  FakeKernel kernel{root};

 private:
  std::vector<std::unique_ptr<vgpu::VirtualGpu>> gpus_;
  std::set<size_t> reserved_;
  std::vector<std::shared_ptr<std::atomic<bool>>> revoked_;  // of the mappings of each GPU
};

}  // namespace gpuhost::fake
