// SPDX-License-Identifier: Apache-2.0
//
// Whether devices may be given away, learnt from the labels of our own Kubernetes node: where
// another cc-manager than ours, or none that can be seen, changes modes. docs/device-plugin.md,
// "Among the GPU Operator's pods".
#pragma once

#include <absl/status/statusor.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

using Labels = std::map<std::string, std::string>;

// Why nobody may be given a device of a node with these labels, for a person; empty when they may:
//   - this plugin is paused by whoever changes the mode (nvidia.com/gpu.deploy.*: "paused-for-...")
//   - nvidia.com/cc.mode asks for a mode and nvidia.com/cc.mode.state does not say the same
//   - a cc-manager belongs here (nvidia.com/gpu.deploy.cc-manager: "true") and has not said
//   anything
//   - it has failed
std::string WhyHeldBack(const Labels& labels);

// What gpuhost-node-labels prints. kDataLoss when it is something else.
absl::StatusOr<Labels> ParseLabels(const std::string& text);

// The labels of `node` as the API server has them now, by gpuhost-node-labels, which is found where
// this program is. Takes a few seconds at most. Errors say what is missing.
absl::StatusOr<Labels> AskForLabels(const std::string& node, const std::string& kubeconfig);

// Asks again and again, in a thread of its own.
class NodeLabels {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);

  struct Settings {
    std::function<absl::StatusOr<Labels>()> ask;  // called in the thread
    std::function<void()> changed;                // likewise, when the answer is a new one
    Duration interval = kInterval;                // between two questions
    Duration patience = Duration::zero();         // see HeldBack; zero: for ever
  };
  explicit NodeLabels(Settings settings);
  ~NodeLabels();

  // WhyHeldBack of what was heard last; before anything was heard, that. What was heard stays in
  // force while the API server is away. Nothing any more when it has been so for `patience`.
  std::string HeldBack(TimePoint now);

 private:
  void Run();
  void Hear(absl::StatusOr<Labels> labels);

  const Settings settings_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::optional<Labels> labels_;
  std::string error_;  // of the last question; empty: it was answered
  std::optional<TimePoint> held_since_;
  std::thread thread_;
};

}  // namespace gpuhost::sandbox_device_plugin
