// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "daemons/cc-manager/our_node.h"
#include "daemons/cc-manager/settings.h"
#include "daemons/cc-manager/stand.h"
#include "daemons/cc-manager/users.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// What keeps a change from beginning.
struct Obstacle {
  enum class Kind { kNone, kPlugin, kUsers, kPause, kOperands } kind = Kind::kNone;
  std::string text;    // for whom or what is waited
  absl::Status final;  // an error: waiting does not help
};

// Finds out whether the devices of a node are left alone, and asks whoever has to be asked, each
// neighbour in the language that it knows:
//   our own plugin    sees in our status document that devices are withdrawn, and answers in its
//   own users of devices  are waited for, refused, evicted or ignored, as the settings say other
//   operands    are sent away by their deploy labels, and their pods waited for
// In this order: nobody is sent away while a virtual machine keeps the change waiting. Users that
// cannot be known count as users: only --workload-policy force goes on without knowing them.
class Quiet {
 public:
  Quiet(HostFs& fs, Clock& clock, OurNode* node, const Settings& settings)
      : fs_(fs), clock_(clock), node_(node), settings_(settings) {}

  // A change has begun, or another one.
  void Begin();
  // The first obstacle in the way of `stand`'s change. kPause: the operands have to be paused now,
  // by showing a stand that says so.
  Obstacle Look(const Stand& stand, const Survey& survey);

 private:
  using Pods = absl::StatusOr<std::vector<kube::Pod>>;

  Obstacle LookInOrder(const PluginWord& plugin, const Stand& stand, const Survey& survey);
  Obstacle AskPlugin(const PluginWord& plugin, const std::string& transition);
  Obstacle AskUsers(const PluginWord& plugin, const Survey& survey);
  Obstacle AskOperands(const Stand& stand);
  Pods PodsOfLate();
  Pods ListPods();
  absl::Status Evict(const std::vector<kube::Pod>& pods);
  // Whether the present kind of obstacle has been there for longer than that.
  bool LastsLongerThan(Obstacle::Kind kind, Duration limit);

  HostFs& fs_;
  Clock& clock_;
  OurNode* node_;
  const Settings& settings_;
  Obstacle::Kind waiting_for_ = Obstacle::Kind::kNone;
  TimePoint since_{};
  bool plugin_given_up_ = false;  // by force
  bool may_list_pods_ = true;     // as the API server said last in this change
  bool told_of_pods_ = false;
  std::optional<Pods> pods_;  // all of the node, as they were at `pods_listed_`
  TimePoint pods_listed_{};
};

}  // namespace gpuhost::cc_manager
