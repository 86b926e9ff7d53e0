// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/store.h"

#include <fmt/format.h>

#include <regex>

#include "libgpuhost/base/parse.h"

namespace gpuhost::apiserver {
namespace {

constexpr const char* kLabelValue = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
constexpr size_t kLongestValue = 63;
constexpr const char* kLabelRule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '{}')";

Answer NotFound(const std::string& name) {
  return Failure(404, "NotFound", fmt::format("nodes \"{}\" not found", name));
}

Answer Conflict(const std::string& name) {
  return Failure(409, "Conflict",
                 fmt::format("Operation cannot be fulfilled on nodes \"{}\": the object has been "
                             "modified; please apply your changes to the latest version and try "
                             "again",
                             name));
}

Answer WithCause(Answer answer, const std::string& reason) {
  answer.body["details"]["causes"] = Json::array({{{"reason", reason}}});
  return answer;
}

Answer InvalidLabel(const std::string& name, const std::string& value) {
  const std::string rule = fmt::format(fmt::runtime(kLabelRule), kLabelValue);
  return WithCause(
      Failure(422, "Invalid",
              fmt::format("Node \"{}\" is invalid: metadata.labels: Invalid value: \"{}\": {}",
                          name, value, rule)),
      "FieldValueInvalid");
}

Answer TooLongLabel(const std::string& name, const std::string& value) {
  return WithCause(
      Failure(422, "Invalid",
              fmt::format("Node \"{}\" is invalid: metadata.labels: Invalid value: \"{}\": must be "
                          "no more than {} bytes",
                          name, value, kLongestValue)),
      "FieldValueInvalid");
}

Answer FromTheFuture(uint64_t asked, uint64_t current) {
  Answer answer =
      Failure(504, "Timeout",
              fmt::format("Timeout: Too large resource version: {}, current: {}", asked, current));
  answer.body["details"]["retryAfterSeconds"] = 1;
  answer.retry_after = 1;
  return WithCause(std::move(answer), "ResourceVersionTooLarge");
}

}  // namespace

Answer Failure(int code, const std::string& reason, const std::string& message) {
  Json status{{"kind", "Status"},          {"apiVersion", "v1"}, {"metadata", Json::object()},
              {"status", "Failure"},       {"message", message}, {"reason", reason},
              {"details", Json::object()}, {"code", code}};
  if (reason.empty()) status.erase("reason");
  return {.code = code, .body = std::move(status)};
}

Json* Store::Find(const std::string& name) {
  const auto node = nodes_.find(name);
  return node == nodes_.end() ? nullptr : &node->second;
}

void Store::Record(const std::string& type, Json& node) {
  node["metadata"]["resourceVersion"] = std::to_string(++version_);
  history_.push_back({version_, type, node});
  changed_.notify_all();
}

void Store::Add(const std::string& name, const std::map<std::string, std::string>& labels) {
  const std::lock_guard lock(mutex_);
  Json& node = nodes_[name];
  node = {{"kind", "Node"}, {"apiVersion", "v1"}, {"metadata", {{"name", name}}}};
  node["metadata"]["uid"] = fmt::format("00000000-0000-4000-9000-{:012}", ++uids_);
  if (!labels.empty()) node["metadata"]["labels"] = labels;
  Record("ADDED", node);
}

void Store::Forget(uint64_t version) {
  const std::lock_guard lock(mutex_);
  forgotten_ = version;
  changed_.notify_all();
}

void Store::ForgetAll() {
  const std::lock_guard lock(mutex_);
  forgotten_ = ++version_;
  changed_.notify_all();
}

void Store::TakeBackup() {
  const std::lock_guard lock(mutex_);
  backup_ = {version_, nodes_, history_};
}

void Store::RestoreBackup() {
  const std::lock_guard lock(mutex_);
  version_ = backup_.version;
  nodes_ = backup_.nodes;
  history_ = backup_.history;
  changed_.notify_all();
}

void Store::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Store::Wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

uint64_t Store::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

bool Store::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

Answer Store::Get(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto node = nodes_.find(name);
  return node == nodes_.end() ? NotFound(name) : Answer{.body = node->second};
}

Answer Store::Patch(const std::string& name, const std::string& body) {
  const std::lock_guard lock(mutex_);
  const Json patch = Json::parse(body, nullptr, false);
  if (!patch.is_object()) return Failure(400, "BadRequest", "error decoding patch");
  Json* node = Find(name);
  if (node == nullptr) return NotFound(name);
  Json patched = *node;
  patched.merge_patch(patch);
  Json& metadata = patched["metadata"];
  if (metadata["resourceVersion"] != (*node)["metadata"]["resourceVersion"]) return Conflict(name);
  const Json labels = metadata.value("labels", Json::object());
  for (const auto& [key, value] : labels.items()) {
    if (!value.is_string()) return Failure(400, "BadRequest", "label values are strings");
    if (value.get_ref<const std::string&>().size() > kLongestValue) {
      return TooLongLabel(name, value);
    }
    if (!std::regex_match(value.get<std::string>(), std::regex(kLabelValue))) {
      return InvalidLabel(name, value);
    }
  }
  for (const char* part : {"labels", "annotations"}) {
    if (metadata.contains(part) && metadata[part].empty()) metadata.erase(part);
  }
  if (patched != *node) {
    *node = std::move(patched);
    Record("MODIFIED", *node);
  }
  return {.body = *node};
}

Answer Store::Delete(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Json* node = Find(name);
  if (node == nullptr) return NotFound(name);
  Record("DELETED", *node);
  nodes_.erase(name);
  return {.body = {{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Success"}}};
}

Answer Store::List(const std::string& name, const std::string& match,
                   const std::string& version) const {
  const std::lock_guard lock(mutex_);
  const uint64_t wanted = ParseDecimal(version).value_or(0);
  if (match == "Exact" && wanted < forgotten_) {
    return Failure(410, "Expired", "The resourceVersion for the provided list is too old.");
  }
  if (wanted > version_) return FromTheFuture(wanted, version_);
  Json items = Json::array();
  for (const auto& [key, node] : nodes_) {
    if (name.empty() || name == key) items.push_back(node);
  }
  return {.body = {{"kind", "NodeList"},
                   {"apiVersion", "v1"},
                   {"metadata", {{"resourceVersion", std::to_string(version_)}}},
                   {"items", items}}};
}

bool Store::Next(const std::string& name, uint64_t& version,
                 std::chrono::steady_clock::time_point deadline,
                 const std::function<bool()>& given_up, Event& event) const {
  std::unique_lock lock(mutex_);
  while (!closed_ && !given_up()) {
    if (version < forgotten_) {
      Answer gone = Failure(410, "Expired",
                            fmt::format("too old resource version: {} ({})", version, forgotten_));
      event = {version, "ERROR", std::move(gone.body)};
      return true;
    }
    for (const Event& past : history_) {
      if (past.version <= version) continue;
      version = past.version;
      if (!name.empty() && past.object["metadata"]["name"] != name) continue;
      event = past;
      return true;
    }
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) return false;
  }
  return false;
}

}  // namespace gpuhost::apiserver
