// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "daemons/cc-manager/quiet.h"
#include "daemons/cc-manager/reporter.h"
#include "daemons/cc-manager/settings.h"
#include "daemons/cc-manager/stand.h"
#include "daemons/cc-manager/unusable.h"
#include "daemons/cc-manager/wakeup.h"
#include "daemons/common/kube/backoff.h"

namespace gpuhost::cc_manager {

// Brings the devices of a node to the wanted mode.
//
// There is no journal. What a change has done is in the devices themselves (effective and pending
// mode) and in the node's labels (our token); each pass compares both with what is wanted, so that
// it does not matter whether an earlier one came to its end.
class Manager {
 public:
  // kInvalidArgument: what is wanted is no mode. Other errors: it cannot be learned now.
  using Wanted = std::function<absl::StatusOr<cc::Mode>()>;
  // What the manager has to do with; all must outlive it.
  struct World {
    HostFs& fs;
    Clock& clock;
    Hardware& hardware;
    OurNode* node;  // nullptr without Kubernetes
    Wakeup& wakeup;
    Reporter& reporter;
    Wanted wanted;
  };
  Manager(World world, const Settings& settings);  // which must outlive it, too

  struct Result {
    absl::Status status;           // OK: all devices are in the mode
    std::optional<cc::Mode> mode;  // which has been tried; empty: nobody could say which is wanted
    bool stopped = false;          // told to end before it came to an end
    bool disturbed = false;        // neighbours were asked to leave the devices alone
    bool reset = false;            // devices have been reset
    bool hardware_gone = false;    // it has ended in the middle; another one may be asked
  };
  // One pass. Waits for as long as users of devices, neighbours and the API server need; when
  // another mode is wanted meanwhile, goes for that one. Disturbs nobody for a change that a device
  // is known to refuse. What is armed against the wish is disarmed, also while nobody can say what
  // is wanted.
  Result Settle();

  // Whether something has changed since the pass that ended with `last`: another mode is wanted, or
  // (`devices_changed`: only then it looks) devices are not what that pass found. Reads only.
  bool HasWork(const Result& last, bool devices_changed);

  const Stand& stand() const { return stand_; }

 private:
  enum class Go { kOn, kAgain, kStopped, kFailed };

  absl::StatusOr<Survey> Look(cc::Mode mode);
  bool MustAsk(const Survey& survey);
  void BelieveLabel(cc::Mode mode, Survey& survey);
  void LearnLabel();
  std::optional<Result> Refused(cc::Mode mode, Survey& survey);
  Result WithoutWish(const absl::Status& why);
  Go MakeQuiet(cc::Mode mode, Survey survey);
  absl::Status BeginChange(cc::Mode mode, const Survey& survey);
  // The next obstacle, and how long to wait because of it.
  struct Pace {
    Obstacle::Kind kind = Obstacle::Kind::kNone;
    Duration pause{};
  };
  Obstacle ShowAndLook(const Survey& survey, Pace& pace);
  std::optional<Result> Switch(cc::Mode mode);
  std::optional<Result> GiveUp(cc::Mode mode, const Progress& progress, bool reset);
  std::optional<Result> Disarm(cc::Mode mode, const absl::Status& why);
  Result Reach(cc::Mode mode, std::vector<DeviceView> devices);
  Result Fail(std::optional<cc::Mode> mode, const absl::Status& status,
              std::vector<DeviceView> devices, bool reset = false);
  Result Gone(const absl::Status& status);
  Result Stop();

  absl::Status Enter(Phase phase, std::string reason = "");
  void LookWhetherCapable();
  bool OtherModeWanted(cc::Mode mode) const;
  // Waits; why the change must not go on, or kOn.
  Go Wait(cc::Mode mode, Duration limit);

  World world_;
  const Settings& settings_;  // may change while the program runs
  Quiet quiet_;
  Unusable unusable_;
  kube::Backoff api_pause_;  // while the API server does not listen
  Stand stand_;
  absl::Status failure_;  // behind Go::kFailed
  TimePoint change_began_{};
  int grabbed_ = 0;  // how often in this pass a device was taken after the look
  bool ask_ = true;  // whether the firmware is to be asked what is armed
  int looks_since_asked_ = 0;
  std::set<pci::Bdf> used_;           // devices that somebody had at the last look
  std::string last_look_;             // what the devices were at the last look
  std::optional<cc::Mode> believed_;  // what the label said of devices that could not be seen
  bool looked_at_label_ = false;
  int times_gone_ = 0;  // the hardware side, since it last answered
};

}  // namespace gpuhost::cc_manager
