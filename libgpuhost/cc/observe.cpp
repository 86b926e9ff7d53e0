// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/observe.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/checked.h"
#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/power.h"

namespace gpuhost::cc {
namespace {

constexpr Duration kResetSilence = std::chrono::milliseconds(150);

// Codes of IsTransient; what gpu/ reports as kUnavailable is a dead device and is told apart here.
absl::Status Transient(std::string_view why) {
  return Error(absl::StatusCode::kUnavailable, "{}", why);
}

absl::Status Dead(const absl::Status& status) {
  return absl::IsUnavailable(status) ? Error(absl::StatusCode::kDataLoss, "{}", Text(status))
                                     : status;
}

// While somebody else resets it a device answers nothing for 100 ms; that is not yet dead.
absl::Status CheckAliveTwice(const gpu::BootView& view, Clock& clock) {
  absl::Status alive = gpu::CheckAlive(view);
  if (!absl::IsUnavailable(alive)) return alive;
  clock.SleepFor(kResetSilence);
  return gpu::CheckAlive(view);
}

absl::StatusOr<uint32_t> ReadModeWord(const gpu::Host& host, const pci::Device& device,
                                      const gpu::Chip* chip) {
  if (chip == nullptr) {
    return Error(absl::StatusCode::kUnimplemented,
                 "device id {:04x} is unknown to this version; update gpuhost", device.device);
  }
  if (chip->layout == nullptr) {
    return Error(absl::StatusCode::kUnimplemented, "{} has no confidential-computing modes",
                 chip->name);
  }
  const auto awake = gpu::IsAwake(host.fs, device.bdf);
  if (!awake.ok()) return Dead(awake.status());
  // To map touches nothing, and tells also of a sleeping device that the kernel forbids it.
  GPUHOST_ASSIGN(const auto registers, host.registers.Open(device, gpu::Access::kReadOnly));
  if (!*awake) return Transient("asleep; bind it to vfio-pci or switch its mode to wake it");

  const gpu::Layout& layout = *chip->layout;
  const pci::ConfigSpace config(host.fs, device.bdf);
  GPUHOST_ASSIGN(const gpu::Bar0State bar0, gpu::LookAtBar0(config, layout));
  if (bar0 == gpu::Bar0State::kClosed) return Transient("firmware is booting");
  // In a virtual machine nobody can ever see it, and the device is long booted by then.
  if (bar0 == gpu::Bar0State::kUnknown && config.IsCutShort()) {
    return Transient(
        "its extended configuration space is hidden for want of CAP_SYS_ADMIN, so its registers "
        "are "
        "left alone: they may be closed by a firewall");
  }
  const gpu::BootView view{*registers, layout, config};
  if (const absl::Status alive = CheckAliveTwice(view, host.clock); !alive.ok()) {
    return Dead(alive);
  }
  GPUHOST_ASSIGN(const bool booted, gpu::HasBooted(view));
  if (!booted) return Transient("firmware is booting");
  const auto word = gpu::ReadChecked(*registers, layout.mode, "mode register");
  return word.ok() ? word : Dead(word.status());
}

}  // namespace

Observation Observe(const gpu::Host& host, const pci::Device& device) {
  Observation seen{.device = device, .chip = gpu::FindChip(device)};
  const auto word = ReadModeWord(host, device, seen.chip);
  if (word.ok()) {
    seen.mode_word = *word;
    seen.state = DecodeState(seen.chip->layout->mode_word, *word);
  } else {
    seen.state = word.status();
  }
  return seen;
}

absl::Status CanReach(const Observation& observation, Mode mode) {
  if (observation.chip == nullptr || observation.chip->layout == nullptr) {
    return mode == Mode::kOff ? absl::OkStatus() : observation.state.status();
  }
  const bool blackwell = observation.chip->architecture == gpu::Architecture::kBlackwell;
  if (blackwell && mode == Mode::kPpcie) {
    return Error(absl::StatusCode::kUnimplemented,
                 "{} has no protected PCIe; several of them are protected by mode on",
                 observation.chip->name);
  }
  const bool coupled_cc =
      blackwell && observation.state.ok() && (observation.mode_word & gpu::kCoupledCcBit) != 0;
  if (gpu::IsCoupled(observation.device) && !coupled_cc && mode != Mode::kOff) {
    return absl::UnimplementedError(
        "is coupled to its CPU (NVLink-C2C) and has no confidential-computing mode; only off is "
        "possible");
  }
  return absl::OkStatus();
}

bool IsTransient(const absl::Status& error) { return absl::IsUnavailable(error); }

}  // namespace gpuhost::cc
