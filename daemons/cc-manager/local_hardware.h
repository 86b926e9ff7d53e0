// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>

#include "daemons/cc-manager/arm_limit.h"
#include "daemons/cc-manager/hardware.h"
#include "libgpuhost/cc/change.h"
#include "libgpuhost/vfio/hold.h"

namespace gpuhost::cc_manager {

// All GPUs and NVSwitches of the machine, with their users. Reads only.
absl::StatusOr<std::vector<cc::Observation>> ObserveNode(const gpu::Host& host);

// The devices of this machine, by this process. A change that fails is recorded, see flight.h. From
// Arm to its end a change holds the VFIO groups of its devices, so that no virtual machine can
// start with one; a device that is on no driver cannot be given to one before it is bound, for
// which `vfio-manage` needs the device's lock, and is looked at once more before the reset.
class LocalHardware : public Hardware {
 public:
  // `policy` holds for every change: whoever asks for one cannot choose it.
  explicit LocalHardware(const gpu::Host& host, const cc::Policy& policy = {},
                         vfio::Hold hold = vfio::Hold());

  absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) override;
  absl::StatusOr<Progress> Arm(cc::Mode mode) override;
  absl::StatusOr<Progress> Disarm() override;
  absl::StatusOr<Progress> Reset() override;

 private:
  using Observations = std::vector<cc::Observation>;
  absl::StatusOr<Observations> Observe();
  absl::Status Hold(cc::Mode mode);
  // False: somebody has it.
  bool TryHold(const pci::Device& device);
  void NameUsers(std::span<const pci::Bdf> taken);
  absl::Status CountArm(cc::Mode mode);
  absl::Status Grabbed();
  void ForgiveSilence(std::span<const DeviceView> devices, std::span<absl::Status> refusals);
  absl::StatusOr<Progress> DisarmAllIdle();
  const cc::Observation* SeenOf(const pci::Bdf& bdf) const;
  Progress Refusal(absl::Status why) const;
  const std::string& UserOf(const pci::Bdf& bdf) const;
  Progress ProgressOf(const cc::Outcome& outcome) const;
  Progress Finish();

  gpu::Host host_;
  // Where each device was when it could last be read: one that sleeps, boots or works for a virtual
  // machine is still there, for only a reset moves it, and then it is armed. Taken over from the
  // status document of an earlier process, which anybody may have written: it is told in a survey,
  // and no change is admitted, made or left out for it here.
  std::map<pci::Bdf, cc::State> last_;
  std::set<pci::Bdf> incurable_;    // whose firmware was silent also when a change was to heal it
  Observations seen_;               // before the change; its users as of the last look
  cc::Mode mode_ = cc::Mode::kOff;  // of the change
  const cc::Policy policy_;
  ArmLimit arm_limit_;
  vfio::Hold hold_;  // outlives the change
  std::unique_ptr<cc::Change> change_;
};

}  // namespace gpuhost::cc_manager
