// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include "daemons/common/kube/client.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr int kPage = 50;        // pods; they have 20 KiB each
constexpr int kMostPages = 100;  // more pods than any node can have

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

// Source: RFC 3986, section 2.
std::string PercentEncoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

// What tells these refusals from others of the same code.
constexpr const char* kSeveralBudgets = "more than one PodDisruptionBudget";
constexpr const char* kAnotherPod = "UID in";  // ... the precondition is not that of the pod

}  // namespace

absl::StatusOr<std::vector<Pod>> Client::ListPages(std::string_view what, const std::string& path) {
  std::vector<Pod> pods;
  std::string next;
  for (int page = 0; page < kMostPages; ++page) {
    GPUHOST_ASSIGN(const std::string body, Send(what, {.path = path + next}));
    GPUHOST_ASSIGN(PodPage read, ParsePodPage(body));
    std::ranges::move(read.pods, std::back_inserter(pods));
    if (read.next.empty()) return pods;
    next = "&continue=" + PercentEncoded(read.next);
  }
  return Error(absl::StatusCode::kDataLoss, "{}: the list has no end", what);
}

absl::StatusOr<std::vector<Pod>> Client::ListPods(const std::string& name_space,
                                                  const std::string& node) {
  GPUHOST_TRY(CheckNodeName(node));
  if (!name_space.empty()) GPUHOST_TRY(CheckNamespace(name_space));
  const std::string where = name_space.empty() ? "" : "namespaces/" + name_space + "/";
  const std::string path =
      fmt::format("/api/v1/{}pods?fieldSelector=spec.nodeName%3D{}&limit={}", where, node, kPage);
  const std::string what =
      fmt::format("list pods of node {} in {}", node,
                  name_space.empty() ? "all namespaces" : "namespace " + name_space);
  auto pods = ListPages(what, path);
  return absl::IsOutOfRange(pods.status()) ? ListPages(what, path) : pods;
}

absl::Status Client::EvictPod(const Pod& pod) {
  GPUHOST_TRY(CheckNamespace(pod.name_space));
  GPUHOST_TRY(CheckPodName(pod.name));
  const absl::Status status =
      Send(fmt::format("evict pod {}/{}", pod.name_space, pod.name),
           {.method = "POST",
            .path = fmt::format("/api/v1/namespaces/{}/pods/{}/eviction", pod.name_space, pod.name),
            .body = EvictionOf(pod),
            .content_type = "application/json"})
          .status();
  const auto says = [&](const char* text) { return Text(status).find(text) != std::string::npos; };
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (absl::IsAborted(status) && says(kAnotherPod)) return absl::OkStatus();
  if (absl::IsUnavailable(status) && says(kSeveralBudgets)) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}; leave it one budget, or delete it",
                 Text(status));
  }
  return status;
}

}  // namespace gpuhost::kube
