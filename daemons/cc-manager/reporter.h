// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>

#include "daemons/cc-manager/budget.h"
#include "daemons/cc-manager/our_node.h"
#include "daemons/cc-manager/settings.h"
#include "daemons/cc-manager/stand.h"
#include "daemons/common/service/metrics.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// Tells where the node stands: those on the node at once, the cluster as soon as it listens.
class Reporter {
 public:
  // `node`: nullptr without Kubernetes.
  Reporter(HostFs& fs, Clock& clock, OurNode* node, service::Metrics& metrics,
           const Settings& settings);

  // On the node: status document, readiness file, service manager, metrics, and the log and an
  // event for what is news. An error: the status document could not be written, so that the other
  // daemons do not know; whatever they must know first must not be begun.
  absl::Status Announce(const Stand& stand);

  // In the cluster: labels and annotation, compared with those of now, so it may be called at any
  // time. An error asks for another try: kResourceExhausted when there have been too many patches
  // of late, as when somebody takes each back; kUnavailable also when the API server took one and
  // the node is not as it says. `last_word`: also after many others.
  absl::Status Show(const Stand& stand, bool last_word = false);

  // A change has ended, well or not, `seconds` after it began. `stand`: as before its end.
  void CountChange(const Stand& stand, const Progress& progress, double seconds);

 private:
  absl::Status Publish(const Stand& stand);
  absl::StatusOr<kube::Node> ToPatch(const Stand& stand, bool fresh, kube::NodePatch& patch);
  absl::Status PatchOnce(const Stand& stand, bool fresh, bool last_word);
  void KeepReadinessFile(const Stand& stand);
  void LogNews(const Stand& stand);
  void Measure(const Stand& stand);

  HostFs& fs_;
  Clock& clock_;
  OurNode* node_;
  service::Metrics& metrics_;
  const Settings& settings_;
  Stand told_;
  absl::Status published_;
  Budget budget_;        // of patches
  bool healed_ = false;  // empty deploy labels of older versions are gone
};

}  // namespace gpuhost::cc_manager
