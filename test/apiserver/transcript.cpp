// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/transcript.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::apiserver {
namespace {

using Json = nlohmann::json;
using kube::Endpoint;
using kube::Request;

constexpr const char* kMergePatch = "application/merge-patch+json";
constexpr const char* kFuture = "900000000";

Json Part(const Json& json, const char* pointer) {
  const Json::json_pointer where(pointer);
  return json.is_structured() && json.contains(where) ? json[where] : Json();
}

std::string TextOf(const Json& json, const char* pointer) {
  const Json value = Part(json, pointer);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

// Of what is left, resource versions, and only they, are numbers of two digits or more.
std::string WithoutNumbers(const std::string& text) {
  const std::string known =
      std::regex_replace(text, std::regex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UID");
  return std::regex_replace(known, std::regex("[0-9]{2,}"), "N");
}

// The wording of a bad request and the number of equal causes are not the same in all releases.
std::string DescribeStatus(const Json& status) {
  const int code = status.value("code", 200);
  std::string text = fmt::format("Status {} {}", code, TextOf(status, "/reason"));
  if (code != 400) text += fmt::format(" '{}'", WithoutNumbers(TextOf(status, "/message")));
  std::set<std::string> causes;
  for (const Json& cause : Part(status, "/details/causes")) {
    const std::string reason = TextOf(cause, "/reason");
    causes.insert(reason == "DisruptionBudget" ? TextOf(cause, "/message") : reason);
  }
  if (!causes.empty()) text += fmt::format(" cause {}", fmt::join(causes, ", "));
  if (const auto seconds = TextOf(status, "/details/retryAfterSeconds"); !seconds.empty()) {
    text += " retry after " + seconds;
  }
  return text;
}

std::string DescribeNode(const Json& node) {
  return fmt::format("node {} labels {}", TextOf(node, "/metadata/name"),
                     Part(node, "/metadata/labels").dump());
}

std::string DescribePods(const Json& list) {
  std::vector<std::string> names;
  for (const Json& pod : list["items"]) names.push_back(TextOf(pod, "/metadata/name"));
  const bool more = !TextOf(list, "/metadata/continue").empty();
  return fmt::format("pods {}{}", fmt::join(names, ", "), more ? " and more" : "");
}

std::string DescribeEvent(const Json& event) {
  return fmt::format("event {} of {} {} in '{}': {}", TextOf(event, "/reason"),
                     TextOf(event, "/involvedObject/kind"), TextOf(event, "/involvedObject/name"),
                     TextOf(event, "/metadata/namespace"), TextOf(event, "/message"));
}

// The kinds of events in their order, repeated ones once, for their number is a matter of time.
std::string DescribeEvents(const std::string& body) {
  std::vector<std::string> events;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);) {
    const Json event = Json::parse(line, nullptr, false);
    std::string text = TextOf(event, "/type");
    if (text == "ERROR") text += " " + DescribeStatus(Part(event, "/object"));
    if (events.empty() || events.back() != text) events.push_back(text);
  }
  return fmt::format("events [{}]", fmt::join(events, ", "));
}

std::string Describe(const kube::Response& response) {
  const Json json = Json::parse(response.body, nullptr, false);
  const std::string kind = TextOf(json, "/kind");
  std::string text = fmt::format("HTTP {}: ", response.code);
  if (kind == "Status") {
    text += DescribeStatus(json);
  } else if (kind == "Node") {
    text += DescribeNode(json);
  } else if (kind == "NodeList") {
    text += fmt::format("{} nodes", json["items"].size());
  } else if (kind == "PodList") {
    text += DescribePods(json);
  } else if (kind == "Event") {
    text += DescribeEvent(json);
  } else {
    text += DescribeEvents(response.body);
  }
  if (response.retry_after) text += fmt::format(", Retry-After {}", Seconds(*response.retry_after));
  return text;
}

class Writer {
 public:
  explicit Writer(const Parties& parties)
      : parties_(parties), path_("/api/v1/nodes/" + parties.node) {}

  std::string Ask(const std::string& what, const Endpoint& endpoint, const Request& request) {
    const auto response = http_.Send(endpoint, request);
    lines_.push_back(what + ": " + (response.ok() ? Describe(*response) : Text(response.status())));
    return response.ok() ? response->body : "";
  }
  std::string Ask(const std::string& what, const Request& request) {
    return Ask(what, parties_.admin, request);
  }
  std::string Patch(const std::string& what, const std::string& body,
                    const std::string& type = kMergePatch) {
    return Ask(what, {.method = "PATCH", .path = path_, .body = body, .content_type = type});
  }
  // Without bookmarks: whether one comes is a matter of time, but where others keep changing.
  std::string Watch(const std::string& what, const std::string& resource_version,
                    const std::string& more = "") {
    return Ask(what, {.path = Nodes("watch=true&timeoutSeconds=3" + more, resource_version)});
  }
  std::string Nodes(const std::string& query, const std::string& resource_version) const {
    return fmt::format("/api/v1/nodes?fieldSelector=metadata.name%3D{}&{}&resourceVersion={}",
                       parties_.node, query, resource_version);
  }
  void OneNode();
  void Rights();
  void Lists();
  void Oblivion();
  void ItsPods();
  void Evictions();
  void Notices();
  void TheClient();
  void Departure();

  std::vector<std::string> lines_;

 private:
  void KeepChangingTheOther(std::stop_token stop) const;
  std::string Look(const std::string& path, const char* pointer) {
    const auto response = http_.Send(parties_.admin, {.path = path});
    if (!response.ok()) return "";
    return TextOf(Json::parse(response->body, nullptr, false), pointer);
  }
  std::string ResourceVersion() { return Look(path_, "/metadata/resourceVersion"); }
  std::string UidOf(const std::string& pod) {
    return Look("/api/v1/namespaces/default/pods/" + pod, "/metadata/uid");
  }

  kube::CurlClient http_;
  const Parties& parties_;
  std::string path_;
};

void Writer::OneNode() {
  Ask("get", {.path = path_});
  Ask("get another", {.path = path_ + "-not-there"});
  const std::string stale = ResourceVersion();
  Patch("set a label", R"({"metadata":{"labels":{"nvidia.com/a":"1","nvidia.com/b":""}}})");
  Patch("change nothing", R"({"metadata":{"labels":{"nvidia.com/a":"1"}}})");
  Patch("remove a label", R"({"metadata":{"labels":{"nvidia.com/a":null,"nvidia.com/c":null}}})");
  Patch("on a stale version",
        R"({"metadata":{"labels":{"x":"y"},"resourceVersion":")" + stale + R"("}})");
  Patch("with a bad value", R"({"metadata":{"labels":{"x":"not valid!"}}})");
  Patch("no JSON", "{");
  Patch("an unknown type", "{}", "text/plain");
  Ask("patch another",
      {.method = "PATCH", .path = path_ + "-not-there", .body = "{}", .content_type = kMergePatch});
}

void Writer::Rights() {
  Ask("get without rights", parties_.stranger, {.path = path_});
  Ask("patch without rights", parties_.stranger,
      {.method = "PATCH", .path = path_, .body = "{}", .content_type = kMergePatch});
  Ask("watch without rights", parties_.stranger, {.path = "/api/v1/nodes?watch=true"});
  Ask("list of another API without rights", parties_.stranger,
      {.path = "/apis/node.k8s.io/v1/runtimeclasses"});
  Endpoint unknown = parties_.stranger;
  unknown.token = "not-a-token";
  Ask("get with a bad token", unknown, {.path = path_});
  unknown.ca_pem.clear();
  const auto distrusted = http_.Send(unknown, {.path = path_});
  lines_.push_back("without its authority: " +
                   std::string(absl::StatusCodeToString(distrusted.status().code())));
}

void Writer::KeepChangingTheOther(std::stop_token stop) const {
  kube::CurlClient http;
  for (int i = 0; !stop.stop_requested(); ++i) {
    const std::string body = fmt::format(R"({{"metadata":{{"labels":{{"x":"{}"}}}}}})", i);
    http.Send(parties_.admin, {.method = "PATCH",
                               .path = "/api/v1/nodes/" + parties_.other_node,
                               .body = body,
                               .content_type = kMergePatch})
        .IgnoreError();
  }
}

void Writer::Lists() {
  Ask("list", {.path = Nodes("limit=500", "")});
  const std::string before = ResourceVersion();
  Patch("change a label", R"({"metadata":{"labels":{"nvidia.com/b":"2"}}})");
  Watch("watch from before", before);
  const std::string now = ResourceVersion();
  Watch("watch from now", now);
  std::jthread other([this](std::stop_token stop) { KeepChangingTheOther(stop); });
  Watch("watch while others change", now, "&allowWatchBookmarks=true");
  other = {};
  Ask("list of the future", {.path = Nodes("resourceVersionMatch=NotOlderThan", kFuture)});
  Watch("watch from the future", kFuture);
  Watch("watch from nonsense", "x");
}

void Writer::Oblivion() {
  const std::string before = ResourceVersion();
  Patch("change again", R"({"metadata":{"labels":{"nvidia.com/b":"3"}}})");
  Patch("and again", R"({"metadata":{"labels":{"nvidia.com/b":"4"}}})");
  parties_.forget(ResourceVersion());
  Ask("list of what is forgotten", {.path = Nodes("resourceVersionMatch=Exact", before)});
  Watch("watch from what is forgotten", before);
}

void Writer::ItsPods() {
  const std::string here = "fieldSelector=spec.nodeName%3D" + parties_.node + "&limit=";
  const std::string first = Ask("pods, first page", {.path = "/api/v1/pods?" + here + "2"});
  const std::string next = TextOf(Json::parse(first, nullptr, false), "/metadata/continue");
  Ask("pods, last page", {.path = "/api/v1/pods?" + here + "2&continue=" + next});
  Ask("pods of a namespace", {.path = "/api/v1/namespaces/default/pods?" + here + "50"});
  Ask("pods of another", {.path = "/api/v1/namespaces/not-there/pods?" + here + "50"});
  Ask("pods without rights", parties_.stranger, {.path = "/api/v1/pods?" + here + "50"});
  Ask("pods of a namespace without rights", parties_.stranger,
      {.path = "/api/v1/namespaces/default/pods?" + here + "50"});
}

void Writer::Evictions() {
  const auto evict = [](const std::string& pod, const std::string& uid = "") {
    return Request{.method = "POST",
                   .path = fmt::format("/api/v1/namespaces/default/pods/{}/eviction", pod),
                   .body = kube::EvictionOf({.name = pod, .name_space = "default", .uid = uid}),
                   .content_type = "application/json"};
  };
  Ask("evict one that is not there", evict("not-there"));
  Ask("evict without rights", parties_.stranger, evict("plain"));
  Ask("evict another of that name", evict("plain", "00000000-0000-4000-8000-00000000ffff"));
  Ask("evict one without identity", evict("plain"));
  Request no_json = evict("plain");
  no_json.body = "{";
  Ask("evict, no JSON", no_json);
  Ask("evict against a budget", evict("guarded"));
  Ask("evict against two budgets", evict("torn"));
  Ask("evict", evict("plain", UidOf("plain")));
  Ask("evict what is about to end", evict("plain", UidOf("plain")));
}

void Writer::Notices() {
  kube::Node node;
  node.name = parties_.node;
  node.uid = "00000000-0000-4000-8000-000000000000";
  const auto create = [&](const std::string& name_space) {
    return Request{.method = "POST",
                   .path = "/api/v1/namespaces/" + name_space + "/events",
                   .body = kube::EventOf(
                       node, {.reason = "Transcript", .message = "text", .component = "transcript"},
                       1800000000),
                   .content_type = "application/json"};
  };
  Ask("event", create("default"));
  Ask("event in a namespace that is not its own", create("kube-system"));
  Ask("event without rights", parties_.stranger, create("default"));
}

void Writer::TheClient() {
  kube::Client client(http_, [this] { return parties_.admin; });
  const auto line = [this](const std::string& what, const absl::StatusOr<kube::Node>& node) {
    lines_.push_back(
        fmt::format("client, {}: {}", what,
                    node.ok() ? fmt::format("{}", fmt::join(node->labels, ", "))
                              : std::string(absl::StatusCodeToString(node.status().code()))));
  };
  line("get", client.GetNode(parties_.node));
  line("get another", client.GetNode("not-there"));
  line("patch",
       client.PatchNodeLabels(parties_.node, {{"nvidia.com/d", "4"}, {"nvidia.com/b", {}}}));
  line("bad value", client.PatchNodeLabels(parties_.node, {{"nvidia.com/d", "?"}}));
  kube::Client stranger(http_, [this] { return parties_.stranger; });
  line("without rights", stranger.GetNode(parties_.node));
  const auto evict = [&](const std::string& name) {
    const absl::Status status =
        client.EvictPod({.name = name, .name_space = "default", .uid = UidOf(name)});
    lines_.push_back(
        fmt::format("client, evict {}: {}", name, absl::StatusCodeToString(status.code())));
  };
  for (const char* name : {"plain", "guarded", "torn", "not-there"}) evict(name);
}

void Writer::Departure() {
  const std::string before = ResourceVersion();
  Ask("delete", {.method = "DELETE", .path = path_});
  Watch("watch from before its end", before);
  Ask("list without it", {.path = Nodes("limit=500", "")});
}

}  // namespace

std::vector<std::string> Transcribe(const Parties& parties) {
  Writer writer(parties);
  writer.OneNode();
  writer.Rights();
  writer.Lists();
  writer.Oblivion();
  writer.ItsPods();
  writer.Evictions();
  writer.Notices();
  writer.TheClient();
  writer.Departure();
  return std::move(writer.lines_);
}

}  // namespace gpuhost::apiserver
