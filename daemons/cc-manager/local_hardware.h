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
  explicit LocalHardware(const gpu::Host& host);

  absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) override;
  absl::StatusOr<Progress> Arm(cc::Mode mode, bool force) override;
  absl::StatusOr<Progress> Disarm() override;
  absl::StatusOr<Progress> Reset() override;

 private:
  using Observations = std::vector<cc::Observation>;
  absl::StatusOr<Observations> Observe();
  absl::Status Grabbed();
  absl::StatusOr<Progress> DisarmAllIdle();
  const cc::Observation* SeenOf(const pci::Bdf& bdf) const;
  const std::string& UserOf(const pci::Bdf& bdf) const;
  Progress ProgressOf(const cc::Outcome& outcome) const;
  Progress Finish();

  gpu::Host host_;
  // Where each device was when it could last be read: one that sleeps, boots or works for a virtual
  // machine is still there, for only a reset moves it, and then it is armed. Taken over from the
  // status document of an earlier process.
  std::map<pci::Bdf, cc::State> last_;
  Observations seen_;  // before the change; its users as of the last look
  bool force_ = false;
  cc::Mode mode_ = cc::Mode::kOff;  // of the change
  std::unique_ptr<cc::Change> change_;
};

}  // namespace gpuhost::cc_manager
