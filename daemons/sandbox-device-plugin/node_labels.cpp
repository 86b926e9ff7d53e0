// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/node_labels.h"

#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemons/common/service/log.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;
using service::Log;

constexpr Duration kAnswerLimit = std::chrono::seconds(5);
constexpr const char* kProgram = "gpuhost-node-labels";
constexpr const char* kMode = "nvidia.com/cc.mode";
constexpr const char* kState = "nvidia.com/cc.mode.state";
constexpr const char* kCcManager = "nvidia.com/gpu.deploy.cc-manager";
// This plugin takes the place of either of them.
constexpr const char* kOwn[] = {"nvidia.com/gpu.deploy.kata-sandbox-device-plugin",
                                "nvidia.com/gpu.deploy.sandbox-device-plugin"};

std::string ValueOf(const Labels& labels, const char* key) {
  const auto found = labels.find(key);
  return found == labels.end() ? "" : found->second;
}

// "true" becomes "paused-for-cc-mode-change", any other value V "V_paused-for-cc-mode-change".
// Source: k8s-cc-manager, and k8s-driver-manager with "driver-upgrade".
bool IsPaused(const std::string& value) {
  return value.starts_with("paused") || value.find("_paused-for-") != std::string::npos;
}

}  // namespace

std::string WhyHeldBack(const Labels& labels) {
  for (const char* key : kOwn) {
    const std::string value = ValueOf(labels, key);
    if (IsPaused(value)) return fmt::format("the node's label {} is {}", key, value);
  }
  const std::string mode = ValueOf(labels, kMode), state = ValueOf(labels, kState);
  if (state == "failed") {
    return fmt::format("the node's label {} is failed; cc-manager's log says why", kState);
  }
  if (!mode.empty() && state != mode) {
    return fmt::format(
        "the node's label {} is '{}' and {} is '{}'; cc-manager is to make them equal", kMode, mode,
        kState, state);
  }
  if (state.empty() && ValueOf(labels, kCcManager) == "true") {
    return fmt::format("the node has no label {} yet, which cc-manager is to set", kState);
  }
  return "";
}

absl::StatusOr<Labels> ParseLabels(const std::string& text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (!parsed.is_object()) return absl::DataLossError("labels of our node: not a JSON object");
  Labels labels;
  for (const auto& [key, value] : parsed.items()) {
    if (!value.is_string()) {
      return Error(absl::StatusCode::kDataLoss, "labels of our node: {} is no text", key);
    }
    labels[key] = value.get<std::string>();
  }
  return labels;
}

absl::StatusOr<Labels> AskForLabels(const std::string& node, const std::string& kubeconfig) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  Command command{
      .path = (self.parent_path() / kProgram).string(), .arguments = {node}, .environment = {}};
  if (!kubeconfig.empty()) command.arguments.push_back("--kubeconfig=" + kubeconfig);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    command.environment.emplace_back(*variable);
  }
  GPUHOST_ASSIGN(const std::string text, OutputOf(kAnswerLimit, command));
  return ParseLabels(text);
}

NodeLabels::NodeLabels(Settings settings)
    : settings_(std::move(settings)), thread_([this] { Run(); }) {}

NodeLabels::~NodeLabels() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

void NodeLabels::Run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    Hear(settings_.ask());
    lock.lock();
    stopping_.wait_for(lock, settings_.interval, [this] { return stop_; });
  }
}

void NodeLabels::Hear(absl::StatusOr<Labels> labels) {
  {
    const std::lock_guard lock(mutex_);
    const std::string error = labels.ok() ? "" : Text(labels.status());
    if (error != error_ && !error.empty()) {
      Log(Level::kError, "labels of our node not read", {{"error", error}});
    }
    const bool news = error != error_ || (labels.ok() && labels_ != *labels);
    error_ = error;
    if (labels.ok()) labels_ = *std::move(labels);
    if (!news) return;
  }
  settings_.changed();
}

std::string NodeLabels::HeldBack(TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::string reason = labels_ ? WhyHeldBack(*labels_)
                               : fmt::format("the labels of our node are not known yet{}{}",
                                             error_.empty() ? "" : ": ", error_);
  if (reason.empty()) {
    held_since_.reset();
    return reason;
  }
  if (!held_since_) held_since_ = now;
  const bool patient = settings_.patience == Duration::zero();
  return patient || now - *held_since_ < settings_.patience ? reason : "";
}

}  // namespace gpuhost::sandbox_device_plugin
