// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemons/common/kube/endpoint_source.h"
#include "daemons/common/kube/event.h"
#include "daemons/common/kube/http.h"
#include "daemons/common/kube/json.h"
#include "daemons/common/kube/pod.h"
#include "daemons/common/kube/runtime_class.h"

namespace gpuhost::kube {

// The requests that gpuhost makes, each once; whoever calls decides about another try. One
// exception: what was refused for want of a valid credential is asked once more if reading the
// credential anew gives another one, for it may have been renewed just then.
// Errors: those of HttpClient::Send, of the endpoint, and by the server's answer
//   kUnauthenticated    401: it does not know us
//   kPermissionDenied   403: it knows us; the text names the right that is missing. Or a policy of
//                       the cluster forbids it, whatever the code
//   kNotFound           404
//   kAborted            409: changed by somebody else meanwhile
//   kOutOfRange         410: the resource version is too old
//   kUnavailable        429 and 5xx: worth another try, see RetryAfter
//   kDataLoss           an answer that is not what was asked for
//   kInternal           any other refusal
// Names that no object can have are refused with kInvalidArgument before anything is sent.
class Client {
 public:
  // `endpoint` is called for each request, `refused` after a 401.
  Client(HttpClient& http, std::function<absl::StatusOr<Endpoint>()> endpoint,
         std::function<void()> refused = {})
      : http_(http), endpoint_(std::move(endpoint)), refused_(std::move(refused)) {}
  Client(HttpClient& http, EndpointSource& source)
      : Client(
            http, [&source] { return source.Load(); }, [&source] { source.Refused(); }) {}

  // Needs the verb get on nodes.
  absl::StatusOr<Node> GetNode(const std::string& name);
  // The node as a list of one, which says where a watch is to begin. Needs list on nodes.
  absl::StatusOr<NodeList> ListNode(const std::string& name);
  // Follows the node from `resource_version` on: calls `on_event` until the server ends the watch,
  // which it does after `limit` (OK), or until an error. An error of `on_event` ends it. A server
  // that says nothing at all for kWatchIdle counts as gone (kUnavailable). Needs watch.
  absl::Status WatchNode(const std::string& name, const std::string& resource_version,
                         Duration limit,
                         const std::function<absl::Status(const NodeEvent&)>& on_event);
  // Sets and removes these labels and annotations and no others, all or none; the node as it is
  // then. kInvalidArgument when a key does not begin with "nvidia.com/". Needs the verb patch.
  absl::StatusOr<Node> PatchNode(const std::string& name, const NodePatch& patch);
  absl::StatusOr<Node> PatchNodeLabels(const std::string& name, const LabelPatch& patch) {
    return PatchNode(name, {.labels = patch, .annotations = {}});
  }

  // All pods of the node, in `name_space` or, if that is empty, in all. Needs list on pods there.
  // Asks page by page; kOutOfRange when the list grew too old for the server twice.
  absl::StatusOr<std::vector<Pod>> ListPods(const std::string& name_space, const std::string& node);
  // Asks for this pod, and none that has its name later, to be shut down; it ends some time after.
  // OK also when it is gone already. Needs create on pods/eviction.
  //   kUnavailable         a PodDisruptionBudget forbids it for now: the text says which and why
  //   kFailedPrecondition  it has several budgets, which Kubernetes cannot decide on
  absl::Status EvictPod(const Pod& pod);

  // All runtime classes. Needs list on runtimeclasses.node.k8s.io.
  absl::StatusOr<std::vector<RuntimeClass>> ListRuntimeClasses();
  // "v1.34.2"; whoever is known to the server may ask.
  absl::StatusOr<std::string> ServerVersion();

  // Puts a notice beside the node, in the namespace default, where those of nodes are. Needs create
  // on events there.
  absl::Status CreateEvent(const Node& node, const NodeNotice& notice, std::time_t now);

 private:
  absl::StatusOr<Response> Ask(std::string_view what, const Request& request, const BodySink& sink,
                               std::string& server);
  absl::StatusOr<std::string> Send(std::string_view what, const Request& request,
                                   const BodySink& sink = {});
  absl::StatusOr<std::vector<Pod>> ListPages(std::string_view what, const std::string& path);

  HttpClient& http_;
  std::function<absl::StatusOr<Endpoint>()> endpoint_;
  std::function<void()> refused_;
};

// Each node is heard of at least every five minutes, for its kubelet reports its status then; and
// servers send bookmarks about every minute.
inline constexpr Duration kWatchIdle = std::chrono::seconds(330);

// How long the server wants to be left alone after this error; empty when it did not say.
std::optional<Duration> RetryAfter(const absl::Status& status);

// OK when `name` can be a node's or a pod's: RFC 1123 subdomain, at most 253 characters. Else
// kInvalidArgument.
absl::Status CheckNodeName(std::string_view name);
absl::Status CheckPodName(std::string_view name);
// OK when `name` can be a namespace's: RFC 1123 label, at most 63 characters. Else
// kInvalidArgument.
absl::Status CheckNamespace(std::string_view name);

}  // namespace gpuhost::kube
