// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/checkpoint.h"
#include "daemons/sandbox-device-plugin/kubelet.h"
#include "daemons/sandbox-device-plugin/pod_resources.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// Who has what, from those that know a part each:
//   - the kubelet's pod-resources API tells names. It tells nothing while the kubelet is away or is
//     asked too often, knows no pods for some seconds after the kubelet has started, and never
//     tells of ordinary init containers;
//   - the kubelet's checkpoint, a file, has every container that has a device. It also has pods
//     that have ended, until the kubelet writes it for another reason;
//   - the kubelet's directory of pods has what is left of each pod that there is.
// So a device has a user when the API or the checkpoint says so, until that pod was seen to go.
// Seen with the kubelets of Kubernetes 1.34.4 and 1.37.2.
class Pods {
 public:
  // A pod that stands in the checkpoint alone, where neither API nor directory of pods can be seen,
  // keeps a device from being offered for so long.
  static constexpr Duration kBelief = std::chrono::minutes(10);

  struct Places {
    std::string socket;      // of pod-resources
    std::string checkpoint;  // kubelet_internal_checkpoint
    std::string directory;   // "/var/lib/kubelet/pods"
  };
  Pods(const HostFs& fs, Places places) : fs_(fs), places_(std::move(places)) {}

  // Takes a moment.
  void ReadCheckpoint(TimePoint now);
  // Reads the checkpoint and asks the API; waits up to 2 s for a kubelet that does not answer.
  // `now` is kept for SeenSince.
  void Ask(TimePoint now);
  // What another kubelet said is held against nobody any more.
  void KubeletChanged();

  // Who has the id of the resource ("nvidia.com/pgpu"), for a person: "namespace/pod/container",
  // or the UID of a pod that only the checkpoint knows. nullopt: nobody can say.
  std::optional<std::vector<std::string>> Users(const std::string& resource,
                                                const std::string& id) const;
  // Whether somebody is known to have it.
  bool Has(const std::string& resource, const std::string& id) const;
  // Whether the API named a user of it, asked after `when`: who was given it then is known, and
  // gone when Has says no.
  bool SeenSince(const std::string& resource, const std::string& id, TimePoint when) const;
  // OK: what has no user is free. Else why Users does not know.
  absl::Status known() const;

  // The checkpoint has a pod with one of `resources` that the kubelet does not tell of: it has
  // ended, or is in its init containers, or the kubelet does not know its pods yet. A kubelet that
  // is sent a list again writes its checkpoint anew, without pods that had ended when it was asked.
  bool Unconfirmed(const std::set<std::string>& resources) const;
  // The kubelet was asked too often, by whomever; ask again soon.
  bool refused_for_now() const { return absl::IsResourceExhausted(assignments_.status()); }

  // What the checkpoint says of pods that may start containers again.
  std::vector<Remembered> Standing(TimePoint now) const;
  // Of the checkpoint; no error when there is none.
  const absl::Status& checkpoint_status() const { return checkpoint_status_; }

 private:
  enum class Presence { kThere, kGone, kUnknown };
  bool Listed(const Remembered& one) const;
  bool Alive(const Remembered& one) const;
  Presence Directory(const std::string& pod) const;
  void Compare(TimePoint now);

  const HostFs& fs_;
  const Places places_;
  absl::StatusOr<Assignments> assignments_ = absl::UnavailableError("not asked yet");
  std::optional<KubeletId> kubelet_;  // by its socket of pod-resources, which each makes anew
  std::map<Assignments::key_type, TimePoint> seen_;
  std::set<std::string> listed_, gone_;  // pods (UID) of the checkpoint, as this kubelet tells
  std::vector<Remembered> remembered_;
  std::map<std::string, TimePoint> since_;  // pods (UID) of the checkpoint: first seen there
  bool has_checkpoint_ = false;
  absl::Status checkpoint_status_;
};

}  // namespace gpuhost::sandbox_device_plugin
