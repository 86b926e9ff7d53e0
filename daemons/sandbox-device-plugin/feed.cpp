// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/feed.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

v1beta1::ListAndWatchResponse ToMessage(const std::vector<Listed>& listed) {
  v1beta1::ListAndWatchResponse message;
  for (const Listed& one : listed) {
    v1beta1::Device& device = *message.add_devices();
    device.set_id(one.unit.id);
    device.set_health(one.healthy() ? "Healthy" : "Unhealthy");
    if (one.unit.numa_node) device.mutable_topology()->add_nodes()->set_id(*one.unit.numa_node);
  }
  return message;
}

}  // namespace

// At most one write is on its way; Finish comes when none is. gRPC never reacts inside of a call
// that starts something (StartWrite, Finish), so the lock is held across them.
class Feed::Stream final : public Reactor {
 public:
  explicit Stream(Feed& feed) : feed_(feed) {
    const std::lock_guard lock(feed_.mutex_);
    feed_.streams_.insert(this);
    Advance();
  }

  // With the lock held: starts what comes next.
  void Advance() {
    if (writing_ || finished_) return;
    if (!ended_ && sent_ != feed_.version_) {
      sent_ = feed_.version_;
      message_ = ToMessage(*feed_.listed_);
      writing_ = true;
      StartWrite(&message_);
    } else if (ended_ || feed_.stopping_) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(feed_.mutex_);
    writing_ = false;
    ended_ = ended_ || !ok;
    Advance();
  }

  void OnCancel() override {
    const std::lock_guard lock(feed_.mutex_);
    ended_ = true;
    Advance();
  }

  void OnDone() override {
    Feed& feed = feed_;
    {
      const std::lock_guard lock(feed.mutex_);
      feed.streams_.erase(this);
    }
    feed.changed_();
    delete this;
  }

 private:
  Feed& feed_;
  v1beta1::ListAndWatchResponse message_;
  uint64_t sent_ = 0;
  bool writing_ = false;
  bool ended_ = false;  // the other side is gone
  bool finished_ = false;
};

void Feed::Publish(std::vector<Listed> listed) {
  const std::lock_guard lock(mutex_);
  listed_ = std::make_shared<const std::vector<Listed>>(std::move(listed));
  ++version_;
  for (Stream* stream : streams_) stream->Advance();
}

Feed::Snapshot Feed::listed() const {
  const std::lock_guard lock(mutex_);
  return listed_;
}

size_t Feed::streams() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

Feed::Reactor* Feed::Open() {
  Stream* stream = new Stream(*this);
  changed_();
  return stream;
}

void Feed::Stop(bool empty) {
  if (empty) Publish({});
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (Stream* stream : streams_) stream->Advance();
}

}  // namespace gpuhost::sandbox_device_plugin
