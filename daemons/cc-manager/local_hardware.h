// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>

#include "daemons/cc-manager/hardware.h"
#include "libgpuhost/cc/change.h"

namespace gpuhost::cc_manager {

// All GPUs and NVSwitches of the machine, with their users. Reads only.
absl::StatusOr<std::vector<cc::Observation>> ObserveNode(const gpu::Host& host);

// The devices of this machine, by this process. A change that fails is recorded, see flight.h.
class LocalHardware : public Hardware {
 public:
  explicit LocalHardware(const gpu::Host& host) : host_(host) {}

  absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) override;
  absl::StatusOr<Progress> Arm(cc::Mode mode, bool force) override;
  absl::StatusOr<Progress> Disarm() override;
  absl::StatusOr<Progress> Reset() override;

 private:
  using Observations = std::vector<cc::Observation>;
  absl::StatusOr<Observations> Observe();
  absl::Status Grabbed() const;
  Progress ProgressOf(const cc::Outcome& outcome) const;
  Progress Finish();

  gpu::Host host_;
  // Where each device was when it was last awake: one that sleeps or boots is still there, for only
  // a reset moves it, and then it is armed.
  std::map<pci::Bdf, cc::State> last_;
  Observations seen_;  // before the change
  bool force_ = false;
  std::unique_ptr<cc::Change> change_;
};

}  // namespace gpuhost::cc_manager
