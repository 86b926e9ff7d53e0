// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "libgpuhost/cc/change.h"
#include "libgpuhost/cc/knobs.h"
#include "libgpuhost/gpu/session.h"

namespace gpuhost::cc {

// One device on its way through a Change; each step may run on a thread of its own.
class DeviceChange {
 public:
  DeviceChange(const gpu::Host& host, const Observation& seen, Mode mode)
      : host_(host), device_(seen.device), mode_(mode), result_{.bdf = seen.device.bdf} {}

  void Open();
  void Arm();
  void Disarm();
  void ResetAndVerify();
  // It has not failed itself, but the change goes no further.
  void Abort(const std::string& why);

  const DeviceResult& result() const { return result_; }
  bool ok() const { return result_.status.ok(); }

 private:
  absl::StatusOr<State> ReadState();
  absl::Status TryReset();
  absl::Status TryAgain(const absl::Status& first);
  void DisarmAfterReset();
  void Fail(const absl::Status& status);
  void StaysArmed(const absl::Status& why);

  gpu::Host host_;
  pci::Device device_;
  Mode mode_;
  DeviceResult result_;
  std::unique_ptr<gpu::Session> session_;
  DevicePlan plan_;
  KnobChange knobs_;
};

}  // namespace gpuhost::cc
