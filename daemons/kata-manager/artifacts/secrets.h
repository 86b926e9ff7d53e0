// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "daemons/common/kube/http.h"

namespace gpuhost::kata_manager::artifacts {

// Secrets of one namespace, asked of the API server one by one; a node may get them and no more.
class Secrets {
 public:
  // `name_space` empty: that of this pod. `own` must outlive it.
  Secrets(const HostFs& own, kube::HttpClient& http, std::string kubeconfig, std::string name_space)
      : own_(own),
        http_(http),
        kubeconfig_(std::move(kubeconfig)),
        name_space_(std::move(name_space)) {}

  // The file .dockerconfigjson of the secret. kNotFound, kPermissionDenied with the right that is
  // missing, kInvalidArgument when it is of another type, and what a request fails with.
  absl::StatusOr<std::string> Read(const std::string& name) const;

 private:
  const HostFs& own_;
  kube::HttpClient& http_;
  const std::string kubeconfig_, name_space_;
};

}  // namespace gpuhost::kata_manager::artifacts
