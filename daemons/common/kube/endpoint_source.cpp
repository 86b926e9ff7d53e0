// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/endpoint_source.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::kube {

absl::StatusOr<Endpoint> EndpointSource::Load() {
  constexpr std::time_t kMargin = 10;  // s, for the request to arrive
  GPUHOST_ASSIGN(Endpoint endpoint, LoadEndpoint(own_, access_));
  if (!endpoint.exec) return endpoint;
  const std::lock_guard lock(mutex_);
  if (kept_ && kept_->expires && now_() + kMargin >= *kept_->expires) kept_.reset();
  if (!kept_) {
    GPUHOST_ASSIGN(kept_, RunPlugin(endpoint));
  }
  if (!kept_->token.empty()) endpoint.token = kept_->token;
  if (!kept_->key_pem.empty()) {
    endpoint.certificate_pem = kept_->certificate_pem;
    endpoint.key_pem = kept_->key_pem;
  }
  return endpoint;
}

void EndpointSource::Refused() {
  const std::lock_guard lock(mutex_);
  kept_.reset();
}

}  // namespace gpuhost::kube
