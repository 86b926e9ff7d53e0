// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deviceplugin_v1beta1.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "daemons/sandbox-device-plugin/health.h"

namespace gpuhost::sandbox_device_plugin {

// The list of one resource and the ListAndWatch streams that must hear of it. A stream that is
// behind gets the newest list only. For many threads.
class Feed {
 public:
  using Reactor = grpc::ServerWriteReactor<v1beta1::ListAndWatchResponse>;
  using Snapshot = std::shared_ptr<const std::vector<Listed>>;

  // `changed` is called on threads of gRPC when a stream begins or ends.
  explicit Feed(std::function<void()> changed) : changed_(std::move(changed)) {}

  void Publish(std::vector<Listed> listed);
  Snapshot listed() const;
  // How many streams are open.
  size_t streams() const;

  // A new stream; it deletes itself.
  Reactor* Open();
  // Ends all streams, after a last empty list when `empty`.
  void Stop(bool empty);

 private:
  class Stream;

  const std::function<void()> changed_;
  mutable std::mutex mutex_;
  Snapshot listed_ = std::make_shared<const std::vector<Listed>>();
  uint64_t version_ = 0;
  bool stopping_ = false;
  std::set<Stream*> streams_;
};

}  // namespace gpuhost::sandbox_device_plugin
