// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gpuhost::apiserver {

using Json = nlohmann::ordered_json;

// What the server says: HTTP status and body.
struct Answer {
  int code = 200;
  Json body;
  int retry_after = 0;  // seconds, not sent when 0
};

// A Status object, as the API server sends it in place of what was asked for.
Answer Failure(int code, const std::string& reason, const std::string& message);

// One line of a watch.
struct Event {
  uint64_t version;
  std::string type;  // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
  Json object;
};

// The nodes with their history, as etcd and the API server's cache keep them together. Safe to use
// from many threads.
class Store {
 public:
  void Add(const std::string& name, const std::map<std::string, std::string>& labels);
  // What is older than `version` is not known any more.
  void Forget(uint64_t version);
  void ForgetAll();  // also the present one, by a change of something else
  void TakeBackup();
  void RestoreBackup();
  // Wakes all who wait, now and from now on.
  void Close();

  Answer Get(const std::string& name) const;
  Answer Patch(const std::string& name, const std::string& body);
  Answer Delete(const std::string& name);
  // `name` empty: all nodes. `match` is resourceVersionMatch, `version` resourceVersion.
  Answer List(const std::string& name, const std::string& match, const std::string& version) const;

  // Waits until `deadline` for the first event after `version` that concerns `name`, or for a
  // failure to report; false when there is none, or after Wake when `given_up`. `version` moves on
  // with it.
  bool Next(const std::string& name, uint64_t& version,
            std::chrono::steady_clock::time_point deadline, const std::function<bool()>& given_up,
            Event& event) const;
  void Wake();
  uint64_t version() const;
  bool closed() const;

 private:
  Json* Find(const std::string& name);
  void Record(const std::string& type, Json& node);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool closed_ = false;
  int uids_ = 0;
  uint64_t version_ = 100, forgotten_ = 0;
  std::map<std::string, Json> nodes_;
  std::vector<Event> history_;
  struct Backup {
    uint64_t version = 0;
    std::map<std::string, Json> nodes;
    std::vector<Event> history;
  } backup_;
};

}  // namespace gpuhost::apiserver
