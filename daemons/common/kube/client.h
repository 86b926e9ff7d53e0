// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemons/common/kube/http.h"
#include "daemons/common/kube/json.h"

namespace gpuhost::kube {

// The requests that gpuhost makes, each once; whoever calls decides about another try.
// Errors: those of HttpClient::Send, of the endpoint, and by the server's answer
//   kUnauthenticated    401: it does not know us; tokens are read anew for the next request
//   kPermissionDenied   403: it knows us; the text names the right that is missing
//   kNotFound           404
//   kAborted            409: changed by somebody else meanwhile
//   kUnavailable        429 and 5xx: worth another try
//   kDataLoss           an answer that is not what was asked for
//   kInternal           any other refusal
class Client {
 public:
  // `endpoint` is called for each request.
  Client(HttpClient& http, std::function<absl::StatusOr<Endpoint>()> endpoint)
      : http_(http), endpoint_(std::move(endpoint)) {}

  // Needs the verb get on nodes.
  absl::StatusOr<Node> GetNode(const std::string& name);
  // Sets and removes these labels and no others; the node as it is then. Needs the verb patch.
  absl::StatusOr<Node> PatchNodeLabels(const std::string& name, const LabelPatch& patch);

 private:
  absl::StatusOr<std::string> Send(std::string_view what, const Request& request);

  HttpClient& http_;
  std::function<absl::StatusOr<Endpoint>()> endpoint_;
};

// OK when `name` can be a node's: RFC 1123 subdomain, at most 253 characters. Else
// kInvalidArgument.
absl::Status CheckNodeName(std::string_view name);

}  // namespace gpuhost::kube
