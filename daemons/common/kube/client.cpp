// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/client.h"

#include <algorithm>

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
    default:
      return code == 429 || code >= 500
                 ? Refusal{absl::StatusCode::kUnavailable, "the server is busy; try again"}
                 : Refusal{absl::StatusCode::kInternal, "this is an error of gpuhost; report it"};
  }
}

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string NodePath(const std::string& name) { return "/api/v1/nodes/" + name; }

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

absl::StatusOr<std::string> Client::Send(std::string_view what, const Request& request) {
  GPUHOST_ASSIGN(const Endpoint endpoint, endpoint_());
  absl::StatusOr<Response> response = http_.Send(endpoint, request);
  if (!response.ok()) return Annotate(response.status(), what);
  if (response->code >= 200 && response->code < 300) return std::move(response->body);
  const Refusal refusal = RefusalOf(response->code);
  return Error(refusal.code, "{}: {} answers {} ({}); {}", what, endpoint.server, response->code,
               ParseStatusMessage(response->body), refusal.remedy);
}

absl::StatusOr<Node> Client::GetNode(const std::string& name) {
  GPUHOST_TRY(CheckNodeName(name));
  GPUHOST_ASSIGN(const std::string body, Send("get node " + name, {.path = NodePath(name)}));
  return ParseNode(body);
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
