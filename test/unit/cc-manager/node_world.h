// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemons/cc-manager/local_hardware.h"
#include "daemons/cc-manager/manager.h"
#include "daemons/common/kube/endpoint_source.h"
#include "daemons/common/service/status_document.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/fake/mortal.h"

namespace gpuhost::cc_manager {

inline const std::string kMode = "nvidia.com/cc.mode";
inline const std::string kVfio = "nvidia.com/gpu.deploy.vfio-manager";
inline const std::string kKataPlugin = "nvidia.com/gpu.deploy.kata-sandbox-device-plugin";
inline const std::string kReadinessFile = "/run/nvidia/validations/.cc-manager-ctr-ready";

// Time passes while the manager waits, and what the test has prepared happens then, one thing per
// wait. A wait that the test did not foresee ends the process, so that no test hangs.
class ScriptedWakeup : public Wakeup {
 public:
  explicit ScriptedWakeup(Clock& clock) : clock_(clock) {}

  // Happens in the next wait without anything else to happen.
  void Then(std::function<void()> event) { events_.push_back(std::move(event)); }
  // Nothing happens in so many waits.
  void Pass(int waits) {
    for (int i = 0; i < waits; ++i) Then([] {});
  }
  void Stop() { stopped_ = true; }
  // The next wait ends with somebody asking for another try.
  void Ask() { asked_ = true; }
  // Happens each time that the manager looks whether to go on without waiting: once all is armed.
  void AtLastMoment(std::function<void()> event) { at_last_moment_ = std::move(event); }
  bool exhausted() const { return exhausted_; }

  Woken Wait(std::optional<Duration> limit) override;

 private:
  Clock& clock_;
  std::deque<std::function<void()>> events_;
  std::function<void()> at_last_moment_;
  bool stopped_ = false, exhausted_ = false, asked_ = false;
};

// A node with GPUs and cc-manager on it, and an API server where the cluster is. What cc-manager
// keeps in memory goes with Restart.
class NodeWorld {
 public:
  // `in_cluster`: the node "n" with these labels; the manager has the rights that the GPU Operator
  // gives it in the namespace gpu-operator, or all of them.
  explicit NodeWorld(std::vector<std::string_view> boards, bool in_cluster = true,
                     const apiserver::Texts& labels = {}, bool admin = false);

  Manager::Result Settle() { return manager->Settle(); }
  absl::Status Show() { return reporter->Show(manager->stand()); }
  // A new process on the same node; with `life`, one that dies with it. `wrap` may put something
  // between it and the network.
  using Wrap = std::function<std::unique_ptr<kube::HttpClient>(std::unique_ptr<kube::HttpClient>)>;
  void Restart(fake::Life* life = nullptr, const Wrap& wrap = {});

  // "absent" where there is no such label.
  std::string Label(const std::string& name) const;
  std::string ModeState() const { return Label("nvidia.com/cc.mode.state"); }
  std::string ReadyState() const { return Label("nvidia.com/cc.ready.state"); }
  void SetMode(const std::string& value) {
    server->SetLabels("n", {{"nvidia.com/cc.mode", value}});
  }
  // The status document, and what our plugin may answer to the change that it names.
  service::StatusDocument Document();
  void PluginAnswers(service::StatusDocument answer);
  // Adds the GPU Operator's pods that the labels deploy.
  void AddOperands();
  // Happens before each write of the status document in this phase.
  void OnPublish(Phase phase, std::function<void()> event);
  // RunDaemon, until so much time has passed.
  int RunFor(Duration time);
  // Patches that change a deploy label.
  int OperandPatches() const;
  // Whether every device is in the mode and none is armed.
  bool AllIn(cc::Mode mode);
  uint64_t Resets();

  fake::Machine machine;
  ScriptedWakeup wakeup{machine.clock};
  std::unique_ptr<apiserver::ScriptedApiServer> server;
  Settings settings;
  absl::StatusOr<cc::Mode> fallback = cc::Mode::kOff;
  service::Metrics metrics;

  std::unique_ptr<Hardware> hardware;
  std::unique_ptr<OurNode> node;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<Manager> manager;

 private:
  const bool admin_;
  fake::TempRoot own_;
  HostFs own_fs_{own_.path()};
  std::unique_ptr<kube::EndpointSource> source_;
  std::unique_ptr<fake::MortalMachine> mortal_;
  std::unique_ptr<kube::HttpClient> http_;
};

}  // namespace gpuhost::cc_manager
