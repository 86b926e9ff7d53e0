// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/our_node.h"

#include <sys/eventfd.h>

#include <random>

#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

// The kubelet writes to its node all the time; these are what we read or write.
bool ConcernsUs(const kube::Node& before, const kube::Node& now) {
  return before.uid != now.uid || before.labels != now.labels ||
         before.annotations != now.annotations;
}

}  // namespace

OurNode::OurNode(kube::HttpClient& http, kube::EndpointSource& source, std::string name,
                 std::string name_space)
    : name_(std::move(name)),
      name_space_(std::move(name_space)),
      client_(http, source),
      changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      watch_http_(stop_.get()),
      watch_(kube::Client(watch_http_, source), name_, clock_, std::random_device()(),
             {.on_node = [this](const auto& node) { Hear(node); },
              .on_error = [this](const absl::Status& status) { OnError(status); },
              .pause =
                  [this](Duration pause) {
                    return !service::WaitReadable({stop_.get()}, pause)[0];
                  }}) {}

OurNode::~OurNode() {
  ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void OurNode::Follow() {
  seen_ = absl::UnavailableError("the API server has not answered yet");
  thread_ = std::thread([this] { watch_.Follow(); });
}

void OurNode::Drain() {
  eventfd_t count = 0;
  ::eventfd_read(changed_.get(), &count);
}

void OurNode::Hear(const std::optional<kube::Node>& node) {
  const std::lock_guard lock(mutex_);
  ++times_heard_;
  error_ = absl::OkStatus();
  if (!node) {
    seen_ = absl::NotFoundError("the node does not exist in Kubernetes; waiting for it");
  } else if (seen_ && seen_->ok() && !ConcernsUs(**seen_, *node)) {
    return;
  } else {
    seen_ = *node;
  }
  ::eventfd_write(changed_.get(), 1);
}

void OurNode::OnError(const absl::Status& status) {
  ++watch_restarts_;
  const std::lock_guard lock(mutex_);
  const bool expected = absl::IsOutOfRange(status) || status == error_;
  error_ = status;
  service::Log(expected ? service::Level::kDebug : service::Level::kWarning,
               "node not watched, trying again", {{"error", status}});
}

absl::StatusOr<kube::Node> OurNode::Seen() {
  {
    const std::lock_guard lock(mutex_);
    if (seen_) return *seen_;
  }
  return client_.GetNode(name_);
}

absl::StatusOr<kube::Node> OurNode::Patch(const kube::NodePatch& patch) {
  const auto times_heard = [this] {
    const std::lock_guard lock(mutex_);
    return times_heard_;
  }();
  GPUHOST_ASSIGN(kube::Node node, client_.PatchNode(name_, patch));
  const std::lock_guard lock(mutex_);
  // What the watch has told meanwhile may be newer than this answer; if not, it will tell more.
  if (seen_ && times_heard == times_heard_) seen_ = node;
  return node;
}

absl::StatusOr<std::vector<kube::Pod>> OurNode::Operands() {
  return client_.ListPods(name_space_, name_);
}

absl::StatusOr<std::vector<kube::Pod>> OurNode::Pods() { return client_.ListPods("", name_); }

absl::Status OurNode::Evict(const kube::Pod& pod) { return client_.EvictPod(pod); }

void OurNode::Tell(kube::NodeNotice::Type type, std::string_view reason, const std::string& text) {
  if (!events_allowed_) return;
  const auto node = Seen();
  if (!node.ok()) return;
  const kube::NodeNotice notice{type, std::string(reason), text, "cc-manager"};
  const absl::Status told = client_.CreateEvent(*node, notice, std::time(nullptr));
  events_allowed_ = !absl::IsPermissionDenied(told);
  if (!told.ok()) service::Log(service::Level::kDebug, "no event written", {{"error", told}});
}

}  // namespace gpuhost::cc_manager
