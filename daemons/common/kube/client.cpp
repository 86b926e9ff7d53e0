// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/client.h"

#include <algorithm>
#include <utility>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr size_t kLongestName = 253;

struct Refusal {
  absl::StatusCode code;
  std::string_view remedy;
};

Refusal RefusalOf(int code) {
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
                 ? Refusal{absl::StatusCode::kUnavailable, "the server is busy; try again"}
                 : Refusal{absl::StatusCode::kInternal, "this is an error of gpuhost; report it"};
  }
}

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string NodePath(const std::string& name) { return "/api/v1/nodes/" + name; }

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
        return absl::ResourceExhaustedError("a line of the watch is longer than 16 MiB");
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
  static constexpr size_t kLongestLine = 16 << 20;
  std::string rest_;
};

constexpr const char* kRetryAfter = "gpuhost/retry-after";   // payload of a status, seconds
constexpr Duration kServerDelay = std::chrono::seconds(30);  // how much later a watch may end

}  // namespace

absl::Status CheckNodeName(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kLongestName &&
                     IsLowerAlphanumeric(name.front()) && IsLowerAlphanumeric(name.back()) &&
                     std::ranges::all_of(name, [](char c) {
                       return IsLowerAlphanumeric(c) || c == '-' || c == '.';
                     });
  if (valid) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no node's name: lower-case letters, digits, '-' and '.', as `kubectl get "
               "nodes` shows it",
               name);
}

std::optional<Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfter);
  if (!payload) return std::nullopt;
  const auto seconds = ParseDecimal(std::string(*payload), 86400);
  return seconds ? std::optional<Duration>(std::chrono::seconds(*seconds)) : std::nullopt;
}

absl::StatusOr<std::string> Client::Send(std::string_view what, const Request& request,
                                         const BodySink& sink) {
  GPUHOST_ASSIGN(const Endpoint endpoint, endpoint_());
  absl::StatusOr<Response> response = http_.Stream(endpoint, request, sink);
  if (!response.ok()) return Annotate(response.status(), what);
  if (response->code >= 200 && response->code < 300) return std::move(response->body);
  const Refusal refusal = RefusalOf(response->code);
  absl::Status status = Error(refusal.code, "{}: {} answers {} ({}); {}", what, endpoint.server,
                              response->code, ParseStatusMessage(response->body), refusal.remedy);
  if (response->retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*response->retry_after);
    status.SetPayload(kRetryAfter, absl::Cord(std::to_string(seconds.count())));
  }
  return status;
}

absl::StatusOr<Node> Client::GetNode(const std::string& name) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("get node " + name, {.path = NodePath(name)}));
  return ParseNode(body);
}

absl::StatusOr<NodeList> Client::ListNode(const std::string& name) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("list node " + name, {.path = OneNode(name)}));
  return ParseNodeList(body);
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
      .limit = seconds + kServerDelay};
  Lines lines;
  const BodySink sink = [&](std::string_view bytes) {
    return lines.Add(bytes, [&](std::string_view line) -> absl::Status {
      GPUHOST_ASSIGN(const NodeEvent event, ParseWatchLine(line));
      return on_event(event);
    });
  };
  return Send("watch node " + name, request, sink).status();
}

absl::StatusOr<Node> Client::PatchNodeLabels(const std::string& name, const LabelPatch& patch) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("patch labels of node " + name,
                                              {.method = "PATCH",
                                               .path = NodePath(name),
                                               .body = MergePatch(patch),
                                               .content_type = "application/merge-patch+json"}));
  return ParseNode(body);
}

}  // namespace gpuhost::kube
