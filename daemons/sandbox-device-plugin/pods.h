// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/checkpoint.h"
#include "daemons/sandbox-device-plugin/pod_resources.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// Who has what, from the two that know: the kubelet's pod-resources API, which tells names and does
// not know of pods for a while after the kubelet has started, and its checkpoint, a file, which
// tells of pods that have ended until the kubelet writes it for the next one.
class Pods {
 public:
  Pods(const HostFs& fs, std::string socket, std::string checkpoint)
      : fs_(fs), socket_(std::move(socket)), checkpoint_(std::move(checkpoint)) {}

  // Takes a moment.
  void ReadCheckpoint();
  // Waits up to 2 s for a kubelet that does not answer. `now` is kept for SeenSince.
  void Ask(TimePoint now);
  // What another kubelet said is not held against the checkpoint.
  void KubeletChanged() { seen_.clear(); }

  // Whether anybody has the id of the resource ("nvidia.com/pgpu").
  bool Has(const std::string& resource, const std::string& id) const;
  // Whether somebody was seen to have it, by a question asked after `when`: who was given it then
  // is known, and gone when Has says no.
  bool SeenSince(const std::string& resource, const std::string& id, TimePoint when) const;
  // False: Has says no of everything that it was not told.
  bool known() const { return assignments_.ok(); }

  const absl::StatusOr<Assignments>& assignments() const { return assignments_; }
  const std::vector<Remembered>& remembered() const { return remembered_; }
  // Of the checkpoint; no error when there is none.
  const absl::Status& checkpoint_status() const { return checkpoint_status_; }

 private:
  const HostFs& fs_;
  const std::string socket_, checkpoint_;
  absl::StatusOr<Assignments> assignments_ = absl::UnavailableError("not asked yet");
  std::map<Assignments::key_type, TimePoint> seen_;
  std::vector<Remembered> remembered_;
  absl::Status checkpoint_status_;
};

}  // namespace gpuhost::sandbox_device_plugin
