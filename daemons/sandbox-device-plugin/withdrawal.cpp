// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/withdrawal.h"

#include "daemons/common/service/instance.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::DeviceStatus;
using service::StatusDocument;

constexpr std::string_view kCcManager = "cc-manager";

bool IsDisarmed(const DeviceStatus& device) {
  return !device.state.empty() && device.pending == device.state;
}

// The next reset is known to bring another mode.
bool IsArmed(const DeviceStatus& device) {
  return !device.state.empty() && !device.pending.empty() && device.pending != device.state;
}

// What cc-manager says of a device whether or not it lives.
std::string WhyUnusable(const DeviceStatus& device) {
  if (!device.unusable.empty()) return device.unusable;
  if (!IsArmed(device) || device.error.empty()) return "";
  return fmt::format("its mode is {} and the next reset makes it {}: {}", device.state,
                     device.pending, device.error);
}

// Whether a cc-manager that has died in `phase` may have left the device armed.
bool MayBeArmed(const std::string& phase, const DeviceStatus& device) {
  if (phase == "arming" || phase == "resetting") return !IsDisarmed(device);
  return IsArmed(device);
}

Withdrawal FromDocument(const StatusDocument& document, bool given_up) {
  Withdrawal withdrawal;
  if (!given_up) withdrawal.transition = document.transition;
  for (const DeviceStatus& device : document.devices) {
    if (std::string reason = WhyUnusable(device); !reason.empty()) {
      withdrawal.devices[device.bdf] = {std::move(reason), false};
    } else if (device.withdraw && !document.transition.empty()) {
      if (!given_up) withdrawal.devices[device.bdf] = {"mode change in progress"};
      if (given_up && MayBeArmed(document.phase, device)) {
        withdrawal.devices[device.bdf] = {
            fmt::format("cc-manager has died while {} and may have left it armed; start cc-manager",
                        document.phase),
            false};
      }
    }
  }
  return withdrawal;
}

}  // namespace

Withdrawal WithdrawalReader::Read(const HostFs& fs, TimePoint now) {
  // Asked first: what a process that lives wrote is then not older than its life.
  const bool alive = service::IsAlive(fs, kCcManager);
  auto document = service::ReadStatusDocument(fs, kCcManager);
  if (alive) dead_since_.reset();
  if (!alive && !dead_since_) dead_since_ = now;
  if (absl::IsNotFound(document.status())) {
    last_ = StatusDocument{};
  } else if (document.ok()) {
    last_ = *std::move(document);
  } else if (!last_) {
    return {.everything = fmt::format("what cc-manager withdraws is not known: {}; start "
                                      "cc-manager, or remove the file where there is none",
                                      Text(document.status()))};
  }
  return FromDocument(*last_, dead_since_ && now - *dead_since_ >= kPatience);
}

}  // namespace gpuhost::sandbox_device_plugin
