// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "daemons/cc-manager/options.h"
#include "daemons/common/kube/client.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// Where the wanted mode comes from, and where the result is shown.
class Target {
 public:
  virtual ~Target() = default;
  // kInvalidArgument: what is wanted is no mode. Other errors: it cannot be learned now.
  virtual absl::StatusOr<cc::Mode> Wanted() = 0;
  // All GPUs are in `reached`; nothing: the pass failed.
  virtual absl::Status Report(std::optional<cc::Mode> reached) = 0;
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

// The labels of the Kubernetes node want and are told.
class NodeTarget : public Target {
 public:
  // `fallback` holds where the node has no label.
  NodeTarget(kube::Client client, std::string node, cc::Mode fallback)
      : client_(std::move(client)), node_(std::move(node)), fallback_(fallback) {}
  absl::StatusOr<cc::Mode> Wanted() override;
  absl::Status Report(std::optional<cc::Mode> reached) override;

 private:
  kube::Client client_;
  std::string node_;
  cc::Mode fallback_;
};

// As the options say. kInvalidArgument when they want Kubernetes and there is no way to its API
// server.
absl::StatusOr<std::unique_ptr<Target>> MakeTarget(const HostFs& host, kube::HttpClient& http,
                                                   const Options& options);

}  // namespace gpuhost::cc_manager
