// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/stoppable_http.h"

#include <algorithm>

namespace gpuhost::cc_manager {

absl::StatusOr<kube::Response> StoppableHttp::Stream(const kube::Endpoint& endpoint,
                                                     const kube::Request& request,
                                                     const kube::BodySink& sink) {
  if (!stopped_) {
    auto response = until_stop_.Stream(endpoint, request, sink);
    if (absl::IsCancelled(response.status())) stopped_ = clock_.Now();
    return response;
  }
  const Duration left = last_word_ - (clock_.Now() - *stopped_);
  if (left <= Duration::zero()) {
    return absl::CancelledError("about to end, and the API server takes too long");
  }
  kube::Request last = request;
  last.limit = std::min(last.limit, left);
  return afterwards_.Stream(endpoint, last, sink);
}

}  // namespace gpuhost::cc_manager
