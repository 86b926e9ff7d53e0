// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/withdrawal.h"

#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr std::string_view kCcManager = "cc-manager";

Withdrawal FromDocument(const service::StatusDocument& document) {
  Withdrawal withdrawal{.transition = document.transition};
  if (withdrawal.transition.empty()) return withdrawal;
  for (const service::DeviceStatus& device : document.devices) {
    if (device.withdraw) withdrawal.devices.insert(device.bdf);
  }
  return withdrawal;
}

}  // namespace

Withdrawal WithdrawalReader::Read(const HostFs& fs, TimePoint now) {
  // Asked first: what a process that lives wrote is then not older than its life.
  const bool alive = service::IsAlive(fs, kCcManager);
  const auto document = service::ReadStatusDocument(fs, kCcManager);
  if (document.ok()) last_ = FromDocument(*document);
  if (absl::IsNotFound(document.status())) last_ = {};
  if (alive) {
    dead_since_.reset();
    return last_;
  }
  if (!dead_since_) dead_since_ = now;
  return now - *dead_since_ < kPatience ? last_ : Withdrawal{};
}

}  // namespace gpuhost::sandbox_device_plugin
