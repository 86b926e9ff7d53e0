// SPDX-License-Identifier: Apache-2.0
#include "test/fake/machine.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/vgpu/board.h"
#include "test/vgpu/registers.h"

namespace gpuhost::fake {

Machine::Machine(int count, std::string_view board_name) {
  const vgpu::Board& board = *vgpu::FindBoard(board_name);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    gpus_.push_back(
        std::make_unique<vgpu::VirtualGpu>(board, clock, std::chrono::milliseconds(1500)));
    gpus_.back()->WriteConfig(0x04, 2, 0x0002);  // the firmware enables memory decoding
    kernel.Add({.bdf = BdfOf(i),
                .device = board.device,
                .class_code = board.class_code,
                .subsystem = board.subsystem,
                .iommu_group = static_cast<int>(i) + 1,
                .driver = "vfio-pci",
                .gpu = gpus_.back().get()});
    root.File(fmt::format("/dev/vfio/{}", i + 1), "");
  }
  root.Directory("/sys/bus/pci/devices");
}

std::string Machine::BdfOf(size_t index) { return fmt::format("0000:{:02x}:00.0", index + 1); }

pci::Device Machine::DeviceOf(size_t index) {
  return pci::ReadDevice(kernel, *pci::Bdf::Parse(BdfOf(index))).value();
}

void Machine::HoldOpen(size_t index, int pid, const std::string& command) {
  root.File(fmt::format("/proc/{}/comm", pid), command + "\n");
  root.Link(fmt::format("/proc/{}/fd/7", pid), fmt::format("/dev/vfio/{}", index + 1));
}

absl::StatusOr<std::unique_ptr<gpu::Registers>> Machine::Open(const pci::Device& device,
                                                              gpu::Access access) {
  const size_t index = device.bdf.bus - 1u;
  if (index >= gpus_.size()) return Error(absl::StatusCode::kNotFound, "no GPU {}", device.bdf);
  return std::make_unique<vgpu::VgpuRegisters>(*gpus_[index], access);
}

}  // namespace gpuhost::fake
