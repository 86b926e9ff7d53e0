// SPDX-License-Identifier: Apache-2.0
#include "test/unit/cc-manager/node_world.h"

#include <absl/strings/escaping.h>

#include <catch2/catch.hpp>

#include "daemons/cc-manager/run.h"
#include "libgpuhost/gpu/chips.h"

namespace gpuhost::cc_manager {
namespace {

constexpr const char* kKubeconfig = R"(
current-context: x
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: {}}}}}]
users: [{{name: u, user: {{token: {}}}}}]
)";

// A process may die before its request has left, or before the answer is there.
class MortalHttp : public kube::HttpClient {
 public:
  explicit MortalHttp(fake::Life& life) : life_(life) {}
  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override {
    if (life_.Ended()) return fake::Dead();
    auto response = http_.Stream(endpoint, request, sink);
    if (life_.Ended()) return fake::Dead();
    return response;
  }

 private:
  fake::Life& life_;
  kube::CurlClient http_;
};

}  // namespace

Woken ScriptedWakeup::Wait(std::optional<Duration> limit) {
  clock_.SleepFor(limit.value_or(std::chrono::hours(1)));
  if (stopped_) return {.stop = true};
  if (limit == Duration::zero()) {
    if (at_last_moment_) at_last_moment_();
    return {};
  }
  if (events_.empty()) {
    exhausted_ = true;
    return {.stop = true};
  }
  const auto event = std::move(events_.front());
  events_.pop_front();
  event();
  return {.stop = stopped_, .asked = std::exchange(asked_, false)};
}

NodeWorld::NodeWorld(std::vector<std::string_view> boards, bool in_cluster,
                     const apiserver::Texts& labels, bool admin)
    : machine(boards), admin_(admin) {
  if (in_cluster) {
    server = std::make_unique<apiserver::ScriptedApiServer>();
    server->AddNode("n", labels);
  }
  Restart();
}

void NodeWorld::Restart(fake::Life* life, const Wrap& wrap) {
  manager.reset();
  reporter.reset();
  node.reset();
  hardware.reset();
  mortal_.reset();
  if (life != nullptr) mortal_ = std::make_unique<fake::MortalMachine>(machine, *life);
  hardware = std::make_unique<LocalHardware>(
      mortal_ ? mortal_->host() : machine.host(),
      cc::Policy{.force = settings.policy == WorkloadPolicy::kForce});
  if (server) {
    const kube::Endpoint endpoint = admin_ ? server->admin() : server->cc_manager("gpu-operator");
    own_.File("/kubeconfig", fmt::format(kKubeconfig, endpoint.server,
                                         absl::Base64Escape(endpoint.ca_pem), endpoint.token));
    source_ =
        std::make_unique<kube::EndpointSource>(own_fs_, kube::Access{.kubeconfig = "/kubeconfig"});
    if (life != nullptr)
      http_ = std::make_unique<MortalHttp>(*life);
    else
      http_ = std::make_unique<kube::CurlClient>();
    if (wrap) http_ = wrap(std::move(http_));
    node = std::make_unique<OurNode>(*http_, *source_, "n", "gpu-operator");
  }
  const auto wanted = [this]() -> absl::StatusOr<cc::Mode> {
    if (!node) return fallback;
    const auto seen = node->Seen();
    return seen.ok() ? WantedMode(seen->labels, fallback) : seen.status();
  };
  reporter =
      std::make_unique<Reporter>(machine.kernel, machine.clock, node.get(), metrics, settings);
  manager = std::make_unique<Manager>(Manager::World{machine.kernel, machine.clock, *hardware,
                                                     node.get(), wakeup, *reporter, wanted},
                                      settings);
}

std::string NodeWorld::Label(const std::string& name) const {
  const auto labels = server->LabelsOf("n");
  const auto label = labels.find(name);
  return label == labels.end() ? "absent" : label->second;
}

service::StatusDocument NodeWorld::Document() {
  return service::ReadStatusDocument(machine.kernel, "cc-manager").value();
}

void NodeWorld::PluginAnswers(service::StatusDocument answer) {
  answer.daemon = "sandbox-device-plugin";
  answer.transition = Document().transition;
  REQUIRE(service::Publish(machine.kernel, answer).ok());
}

void NodeWorld::AddOperands() {
  server->AddOperand(
      {.node = "n", .label = kVfio, .name_space = "gpu-operator", .app = "nvidia-vfio-manager"});
  server->AddOperand({.node = "n",
                      .label = kKataPlugin,
                      .name_space = "gpu-operator",
                      .app = "nvidia-kata-sandbox-device-plugin-daemonset"});
}

void NodeWorld::OnPublish(Phase phase, std::function<void()> event) {
  machine.kernel.FailWritesWhile([this, phase, event = std::move(event)](const std::string& path) {
    if (path.ends_with("/cc-manager.json") && manager->stand().phase == phase) event();
    return false;
  });
}

int NodeWorld::RunFor(Duration time) {
  const TimePoint end = machine.clock.Now() + time;
  for (int i = 0; i < 100000; ++i) {
    wakeup.Then([this, end] {
      if (machine.clock.Now() >= end) wakeup.Stop();
    });
  }
  std::atomic<bool> ready = false;
  return RunDaemon(*manager, *reporter, wakeup, machine.clock, ready);
}

int NodeWorld::OperandPatches() const {
  int patches = 0;
  for (const auto& patch : server->patches()) {
    if (patch.body.find("gpu.deploy") != std::string::npos) ++patches;
  }
  return patches;
}

bool NodeWorld::AllIn(cc::Mode mode) {
  for (size_t i = 0; i < machine.size(); ++i) {
    const auto architecture = gpu::FindChip(machine.DeviceOf(i))->architecture;
    const cc::State state = cc::StateOf(mode, architecture);
    if (machine.Effective(i) != state || machine.Pending(i) != state) return false;
  }
  return true;
}

uint64_t NodeWorld::Resets() {
  uint64_t resets = 0;
  for (size_t i = 0; i < machine.size(); ++i) resets += machine.gpu(i).counters().resets;
  return resets;
}

}  // namespace gpuhost::cc_manager
