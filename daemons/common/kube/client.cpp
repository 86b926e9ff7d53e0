// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/client.h"

#include <algorithm>
#include <utility>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr size_t kLongestName = 253, kLongestLabel = 63;

struct Meaning {
  absl::StatusCode code;
  std::string_view remedy;
};

// A ValidatingAdmissionPolicy answers 422 unless it names another reason (Kubernetes 1.37.2), an
// admission webhook what it likes.
bool IsRefusedByPolicy(const Refusal& refusal) {
  return refusal.message.find("denied request") != std::string::npos ||
         refusal.message.find("denied the request") != std::string::npos;
}

Meaning MeaningOf(int code, const Refusal& refusal) {
  if ((code == 400 || code == 403 || code == 422) && IsRefusedByPolicy(refusal)) {
    return {absl::StatusCode::kPermissionDenied,
            "an admission policy of the cluster forbids it; let it make an exception"};
  }
  switch (code) {
    case 401:
      return {absl::StatusCode::kUnauthenticated,
              "the token or the client certificate is not valid there; renew it"};
    case 403:
      return {absl::StatusCode::kPermissionDenied, "grant this identity the right to do so"};
    case 404:
      return {absl::StatusCode::kNotFound, "check the name"};
    case 409:
      return {absl::StatusCode::kAborted, "somebody else changed it; read it again"};
    case 410:
      return {absl::StatusCode::kOutOfRange, "list again"};
    default:
      return code == 429 || code >= 500
                 ? Meaning{absl::StatusCode::kUnavailable, "the server is busy; try again"}
                 : Meaning{absl::StatusCode::kInternal, "this is an error of gpuhost; report it"};
  }
}

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsName(std::string_view name, size_t longest, std::string_view between) {
  return !name.empty() && name.size() <= longest && IsLowerAlphanumeric(name.front()) &&
         IsLowerAlphanumeric(name.back()) && std::ranges::all_of(name, [&](char c) {
           return IsLowerAlphanumeric(c) || between.find(c) != std::string_view::npos;
         });
}

bool SameCredential(const Endpoint& a, const Endpoint& b) {
  return a.token == b.token && a.certificate_pem == b.certificate_pem && a.key_pem == b.key_pem;
}

std::string NodePath(const std::string& name) { return "/api/v1/nodes/" + name; }

// An answer about another node is none, whoever has given it.
absl::StatusOr<Node> NodeCalled(const std::string& name, std::string_view body) {
  GPUHOST_ASSIGN(Node node, ParseNode(body));
  if (node.name == name) return node;
  return Error(absl::StatusCode::kDataLoss,
               "asked for node {}, answered with node '{}'; who is between us and the server?",
               name, node.name.substr(0, kLongestName));
}

std::string OneNode(const std::string& name) {
  return "/api/v1/nodes?fieldSelector=metadata.name%3D" + name;
}

// Cuts a stream into lines, however it arrives.
class Lines {
 public:
  absl::Status Add(std::string_view bytes,
                   const std::function<absl::Status(std::string_view)>& on_line) {
    while (true) {
      const size_t end = bytes.find('\n');
      if (rest_.size() + std::min(end, bytes.size()) > kLongestLine) {
        return absl::ResourceExhaustedError("a line of the watch is longer than 4 MiB");
      }
      if (end == std::string_view::npos) break;
      rest_ += bytes.substr(0, end);
      const std::string line = std::exchange(rest_, "");
      if (!line.empty()) GPUHOST_TRY(on_line(line));
      bytes.remove_prefix(end + 1);
    }
    rest_ += bytes;
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kLongestLine = 4 << 20;  // etcd takes objects up to 1.5 MiB
  std::string rest_;
};

constexpr int kUnauthorized = 401;
constexpr const char* kRetryAfter = "gpuhost/retry-after";   // payload of a status, seconds
constexpr Duration kServerDelay = std::chrono::seconds(30);  // how much later a watch may end

}  // namespace

absl::Status CheckNodeName(std::string_view name) {
  if (IsName(name, kLongestName, "-.")) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no node's name: lower-case letters, digits, '-' and '.', as `kubectl get "
               "nodes` shows it",
               name);
}

absl::Status CheckPodName(std::string_view name) {
  if (IsName(name, kLongestName, "-.")) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "'{}' is no pod's name", name);
}

absl::Status CheckNamespace(std::string_view name) {
  if (IsName(name, kLongestLabel, "-")) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no namespace: lower-case letters, digits and '-', as `kubectl get "
               "namespaces` shows it",
               name);
}

std::optional<Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfter);
  if (!payload) return std::nullopt;
  const auto seconds = ParseDecimal(std::string(*payload), 86400);
  return seconds ? std::optional<Duration>(std::chrono::seconds(*seconds)) : std::nullopt;
}

absl::StatusOr<Response> Client::Ask(std::string_view what, const Request& request,
                                     const BodySink& sink, std::string& server) {
  GPUHOST_ASSIGN(const Endpoint endpoint, endpoint_());
  server = endpoint.server;
  absl::StatusOr<Response> response = http_.Stream(endpoint, request, sink);
  if (response.ok() && response->code == kUnauthorized) {
    if (refused_) refused_();
    GPUHOST_ASSIGN(const Endpoint renewed, endpoint_());
    if (!SameCredential(endpoint, renewed)) response = http_.Stream(renewed, request, sink);
  }
  if (!response.ok()) return Annotate(response.status(), what);
  return response;
}

absl::StatusOr<std::string> Client::Send(std::string_view what, const Request& request,
                                         const BodySink& sink) {
  std::string server;
  GPUHOST_ASSIGN(Response response, Ask(what, request, sink, server));
  const Refusal refusal = ParseRefusal(response.body);
  const bool success = response.code >= 200 && response.code < 300;
  // The server reports some failures of evictions as the object that it was asked to create.
  if (success && refusal.code == 0) return std::move(response.body);
  const int code = success ? refusal.code : response.code;
  const Meaning meaning = MeaningOf(code, refusal);
  const std::string budgets = refusal.budgets.empty() ? "" : ": " + refusal.budgets;
  absl::Status status = Error(meaning.code, "{}: {} answers {} ({}{}); {}", what, server, code,
                              refusal.message, budgets, meaning.remedy);
  if (response.retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*response.retry_after);
    status.SetPayload(kRetryAfter, absl::Cord(std::to_string(seconds.count())));
  }
  return status;
}

absl::StatusOr<Node> Client::GetNode(const std::string& name) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("get node " + name, {.path = NodePath(name)}));
  return NodeCalled(name, body);
}

absl::StatusOr<NodeList> Client::ListNode(const std::string& name) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("list node " + name, {.path = OneNode(name)}));
  return ParseNodeList(body, name);
}

absl::Status Client::WatchNode(const std::string& name, const std::string& resource_version,
                               Duration limit,
                               const std::function<absl::Status(const NodeEvent&)>& on_event) {
  GPUHOST_TRY(CheckNodeName(name));
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit);
  const Request request{
      .path = fmt::format("{}&watch=true&allowWatchBookmarks=true&timeoutSeconds={}"
                          "&resourceVersion={}",
                          OneNode(name), seconds.count(), resource_version),
      .limit = seconds + kServerDelay,
      .idle = kWatchIdle};
  Lines lines;
  const BodySink sink = [&](std::string_view bytes) {
    return lines.Add(bytes, [&](std::string_view line) -> absl::Status {
      GPUHOST_ASSIGN(NodeEvent event, ParseWatchLine(line));
      const bool others = event.kind != NodeEvent::Kind::kBookmark && event.node.name != name;
      if (others) event.kind = NodeEvent::Kind::kBookmark;
      return on_event(event);
    });
  };
  return Send("watch node " + name, request, sink).status();
}

absl::StatusOr<Node> Client::PatchNode(const std::string& name, const NodePatch& patch) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string merge_patch, MergePatch(patch));
  GPUHOST_ASSIGN(const std::string body,
                 Send("patch node " + name, {.method = "PATCH",
                                             .path = NodePath(name),
                                             .body = merge_patch,
                                             .content_type = "application/merge-patch+json"}));
  return NodeCalled(name, body);
}

absl::StatusOr<std::vector<RuntimeClass>> Client::ListRuntimeClasses() {
  GPUHOST_ASSIGN(const std::string body,
                 Send("list runtime classes", {.path = "/apis/node.k8s.io/v1/runtimeclasses"}));
  return ParseRuntimeClasses(body);
}

absl::StatusOr<std::string> Client::ServerVersion() {
  GPUHOST_ASSIGN(const std::string body,
                 Send("ask for the server's version", {.path = "/version"}));
  return ParseServerVersion(body);
}

absl::Status Client::CreateEvent(const Node& node, const NodeNotice& notice, std::time_t now) {
  GPUHOST_TRY(CheckNodeName(node.name));
  return Send("create an event for node " + node.name, {.method = "POST",
                                                        .path = "/api/v1/namespaces/default/events",
                                                        .body = EventOf(node, notice, now),
                                                        .content_type = "application/json"})
      .status();
}

}  // namespace gpuhost::kube
