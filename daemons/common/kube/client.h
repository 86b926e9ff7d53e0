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
//   kOutOfRange         410: the resource version is too old
//   kUnavailable        429 and 5xx: worth another try, see RetryAfter
//   kDataLoss           an answer that is not what was asked for
//   kInternal           any other refusal
class Client {
 public:
  // `endpoint` is called for each request.
  Client(HttpClient& http, std::function<absl::StatusOr<Endpoint>()> endpoint)
      : http_(http), endpoint_(std::move(endpoint)) {}

  // Needs the verb get on nodes.
  absl::StatusOr<Node> GetNode(const std::string& name);
  // The node as a list of one, which says where a watch is to begin. Needs list on nodes.
  absl::StatusOr<NodeList> ListNode(const std::string& name);
  // Follows the node from `resource_version` on: calls `on_event` until the server ends the watch,
  // which it does after `limit` (OK), or until an error. An error of `on_event` ends it. Needs
  // watch.
  absl::Status WatchNode(const std::string& name, const std::string& resource_version,
                         Duration limit,
                         const std::function<absl::Status(const NodeEvent&)>& on_event);
  // Sets and removes these labels and no others; the node as it is then. Needs the verb patch.
  absl::StatusOr<Node> PatchNodeLabels(const std::string& name, const LabelPatch& patch);

 private:
  absl::StatusOr<std::string> Send(std::string_view what, const Request& request,
                                   const BodySink& sink = {});

  HttpClient& http_;
  std::function<absl::StatusOr<Endpoint>()> endpoint_;
};

// How long the server wants to be left alone after this error; empty when it did not say.
std::optional<Duration> RetryAfter(const absl::Status& status);

// OK when `name` can be a node's: RFC 1123 subdomain, at most 253 characters. Else
// kInvalidArgument.
absl::Status CheckNodeName(std::string_view name);

}  // namespace gpuhost::kube
