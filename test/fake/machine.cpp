// SPDX-License-Identifier: Apache-2.0
#include "test/fake/machine.h"

#include <cstdio>
#include <cstdlib>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/plan.h"
#include "libgpuhost/pci/scan.h"
#include "test/vgpu/board.h"
#include "test/vgpu/registers.h"

namespace gpuhost::fake {
namespace {

[[noreturn]] void Broken(const std::string& bdf, const std::string& rule) {
  fmt::print(stderr, "virtual GPU {}: {}\n", bdf, rule);
  std::abort();
}

}  // namespace

Machine::Machine(int count, std::string_view board)
    : Machine(std::vector<std::string_view>(static_cast<size_t>(count), board)) {}

Machine::Machine(const std::vector<std::string_view>& boards) {
  for (size_t i = 0; i < boards.size(); ++i) {
    const vgpu::Board& board = *vgpu::FindBoard(boards[i]);
    gpus_.push_back(
        std::make_unique<vgpu::VirtualGpu>(board, clock, std::chrono::milliseconds(1500), i));
    gpus_.back()->OnBreach([bdf = BdfOf(i)](const std::string& rule) { Broken(bdf, rule); });
    revoked_.push_back(std::make_shared<std::atomic<bool>>(false));
    gpus_.back()->WriteConfig(0x04, 2, 0x0002);  // the firmware enables memory decoding
    kernel.Add({.bdf = BdfOf(i),
                .device = board.device,
                .class_code = board.class_code,
                .subsystem = board.subsystem,
                .iommu_group = static_cast<int>(i) + 1,
                .driver = "vfio-pci",
                .gpu = gpus_.back().get()});
  }
  root.Directory("/sys/bus/pci/devices");
}

std::string Machine::BdfOf(size_t index) { return fmt::format("0000:{:02x}:00.0", index + 1); }

pci::Device Machine::DeviceOf(size_t index) {
  return pci::ReadDevice(kernel, *pci::Bdf::Parse(BdfOf(index))).value();
}

cc::State Machine::Effective(size_t index) {
  const gpu::Chip& chip = *gpu::FindChip(DeviceOf(index));
  return cc::DecodeState(chip.layout->mode_word, gpu(index).mode_word()).value();
}

cc::State Machine::Pending(size_t index) {
  return cc::PendingState({{gpu::Knob::kCcMode, gpu(index).knob(8)},
                           {gpu::Knob::kCcDevtools, gpu(index).knob(6)},
                           {gpu::Knob::kPpcie, gpu(index).knob(45)}});
}

void Machine::Bring(size_t index, cc::Mode mode) {
  for (const auto& step : cc::KnobsOf(mode, gpu::FindChip(DeviceOf(index))->architecture)) {
    gpu(index).SetKnob(static_cast<uint16_t>(step.knob), step.value);
  }
  gpu(index).FunctionLevelReset().IgnoreError();
  clock.SleepFor(std::chrono::minutes(1));
}

void Machine::HoldOpen(size_t index, int pid, const std::string& command) {
  kernel.HoldOpen(pid, command, fmt::format("/sys/class/vfio/{}/dev", index + 1));
}

void Machine::RunVirtualMachine(size_t index, int pid) {
  HoldOpen(index, pid, "qemu-system-x86");
  root.File(pci::SysfsPath(*pci::Bdf::Parse(BdfOf(index)), "enable"), "1\n");
  *revoked_.at(index) = true;
  revoked_.at(index) = std::make_shared<std::atomic<bool>>(false);
  gpu(index).FunctionLevelReset().IgnoreError();
  reserved_.insert(index);
}

void Machine::EndVirtualMachine(size_t index, int pid) {
  root.Remove(fmt::format("/proc/{}", pid));
  root.File(pci::SysfsPath(*pci::Bdf::Parse(BdfOf(index)), "enable"), "0\n");
  reserved_.erase(index);
}

absl::StatusOr<std::unique_ptr<gpu::Registers>> Machine::Open(const pci::Device& device,
                                                              gpu::Access access) {
  const size_t index = device.bdf.bus - 1u;
  if (index >= gpus_.size()) return Error(absl::StatusCode::kNotFound, "no GPU {}", device.bdf);
  if (reserved_.contains(index)) return absl::UnavailableError("reserved by who uses it");
  return std::make_unique<vgpu::VgpuRegisters>(*gpus_[index], access, revoked_[index]);
}

}  // namespace gpuhost::fake
