// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <thread>

#include "daemons/cc-manager/options.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/kube/node_watch.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// Where the wanted mode comes from, and where the result is shown.
class Target {
 public:
  virtual ~Target() = default;
  // kInvalidArgument: what is wanted is no mode. Other errors: it cannot be learned now.
  virtual absl::StatusOr<cc::Mode> Wanted() = 0;
  // All GPUs are in `reached`; nothing: the pass failed.
  virtual absl::Status Report(std::optional<cc::Mode> reached) = 0;
  // Begins to follow changes, in a thread of its own; call once the signals are blocked.
  virtual void Start() {}
  // Readable when another mode may be wanted, until Drain; -1: that cannot happen.
  virtual int fd() const { return -1; }
  virtual void Drain() {}
};

// The command line wants, nobody is told.
class FixedTarget : public Target {
 public:
  explicit FixedTarget(cc::Mode mode) : mode_(mode) {}
  absl::StatusOr<cc::Mode> Wanted() override { return mode_; }
  absl::Status Report(std::optional<cc::Mode>) override { return absl::OkStatus(); }

 private:
  cc::Mode mode_;
};

// The labels of the Kubernetes node want and are told. Asks the API server each time.
class NodeTarget : public Target {
 public:
  // `fallback` holds where the node has no label.
  NodeTarget(kube::Client client, std::string node, cc::Mode fallback)
      : client_(std::move(client)), node_(std::move(node)), fallback_(fallback) {}
  absl::StatusOr<cc::Mode> Wanted() override;
  absl::Status Report(std::optional<cc::Mode> reached) override;

 protected:
  cc::Mode fallback() const { return fallback_; }

 private:
  kube::Client client_;
  std::string node_;
  cc::Mode fallback_;
};

// The same, kept up to date by a watch in a thread of its own. Until its first word the API server
// is asked.
class WatchedNodeTarget : public NodeTarget {
 public:
  using Endpoint = std::function<absl::StatusOr<kube::Endpoint>()>;
  WatchedNodeTarget(kube::HttpClient& http, Endpoint endpoint, const std::string& node,
                    cc::Mode fallback);
  ~WatchedNodeTarget() override;
  absl::StatusOr<cc::Mode> Wanted() override;
  void Start() override;
  int fd() const override { return changed_.get(); }
  void Drain() override;

 private:
  void OnNode(const std::optional<kube::Node>& node);
  void OnError(const absl::Status& status);

  SystemClock clock_;
  UniqueFd changed_, stop_;
  kube::CurlClient http_;  // of the watch; it ends with `stop_`
  std::mutex mutex_;
  std::optional<absl::StatusOr<kube::Labels>> labels_;  // as last heard
  absl::Status error_;
  kube::NodeWatch watch_;
  std::thread thread_;
};

// As the options say; watched unless for one pass. kInvalidArgument when they want Kubernetes and
// there is no way to its API server.
absl::StatusOr<std::unique_ptr<Target>> MakeTarget(const HostFs& host, kube::HttpClient& http,
                                                   const Options& options);

}  // namespace gpuhost::cc_manager
