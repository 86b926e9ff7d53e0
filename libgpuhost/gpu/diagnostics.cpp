// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/diagnostics.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/power.h"

namespace gpuhost::gpu {
namespace {

constexpr off_t kHeader = 64;  // bytes of configuration space that need no privilege

struct Named {
  std::string_view name;
  uint32_t offset;
};

constexpr Named kFspStatus[] = {{"fsp_status_0", 0x8f0320},
                                {"fsp_status_1", 0x8f0324},
                                {"fsp_status_2", 0x8f0328},
                                {"fsp_status_3", 0x8f032c}};
constexpr Named kEmemQueues[] = {
    {"fsp_queue_head_0", 0x8f2c00},   {"fsp_queue_tail_0", 0x8f2c04},
    {"fsp_message_head_0", 0x8f2c80}, {"fsp_message_tail_0", 0x8f2c84},
    {"fsp_queue_head_2", 0x8f2c10},   {"fsp_queue_tail_2", 0x8f2c14},
    {"fsp_message_head_2", 0x8f2c90}, {"fsp_message_tail_2", 0x8f2c94}};
// The mailbox's data words are left alone: reading one pops it.
constexpr Named kMailbox[] = {{"fsp_answer_info", 0x8f1f04}, {"fsp_request_info", 0x8f1f84}};
constexpr Named kResetScratch[] = {{"flr_scratch", 0x1458}, {"sbr_scratch", 0x91288}};
constexpr Named kDeviceIdentity[] = {{"pdi_0", 0x820344}, {"pdi_1", 0x820348}};

std::vector<Named> RegistersOf(const Chip& chip, bool coupled) {
  const Layout& layout = *chip.layout;
  std::vector<Named> all{{"boot_identity", kBootIdentity},
                         {"boot_status", layout.boot_status},
                         {"recovery", layout.recovery},
                         {"mode", layout.mode}};
  const auto add = [&all](const auto& more) {
    all.insert(all.end(), std::begin(more), std::end(more));
  };
  add(kFspStatus);
  if (layout.fsp == FspKind::kEmem) add(kEmemQueues);
  if (layout.fsp == FspKind::kMnoc) add(kMailbox);
  if (chip.architecture == Architecture::kHopper) add(kResetScratch);
  if (chip.architecture != Architecture::kNvSwitch) add(kDeviceIdentity);
  if (coupled) all.push_back({"c2c_status", kC2cStatus});
  return all;
}

absl::Status ReadRegisters(const Host& host, const pci::Device& device, Diagnostics& found) {
  const Chip* chip = FindChip(device);
  if (chip == nullptr || chip->layout == nullptr) {
    return absl::UnimplementedError("this version does not operate the chip");
  }
  GPUHOST_ASSIGN(const bool awake, IsAwake(host.fs, device.bdf));
  if (!awake) return absl::UnavailableError("asleep");
  const pci::ConfigSpace config(host.fs, device.bdf);
  found.faults = DescribeFaults(config, *chip->layout);
  GPUHOST_ASSIGN(const Bar0State bar0, LookAtBar0(config, *chip->layout));
  if (bar0 != Bar0State::kOpen)
    return absl::UnavailableError("its firewall is not seen to be open");
  GPUHOST_ASSIGN(const auto registers, host.registers.Open(device, Access::kReadOnly));
  for (const Named& one : RegistersOf(*chip, IsCoupled(device))) {
    GPUHOST_ASSIGN(const uint32_t value, registers->Read32(one.offset));
    found.registers.push_back({one.name, one.offset, value});
  }
  return absl::OkStatus();
}

}  // namespace

Diagnostics ReadDiagnostics(const Host& host, const pci::Device& device) {
  Diagnostics found;
  const pci::ConfigSpace config(host.fs, device.bdf);
  for (off_t offset = 0; offset < kHeader; ++offset) {
    const auto byte = config.Read8(offset);
    if (!byte.ok()) {
      found.config.clear();
      break;
    }
    found.config += static_cast<char>(*byte);
  }
  found.registers_left_out = Text(ReadRegisters(host, device, found));
  return found;
}

}  // namespace gpuhost::gpu
