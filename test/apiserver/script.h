// SPDX-License-Identifier: Apache-2.0
//
// What a test can have the scripted API server hold and do.
#pragma once

#include <map>
#include <set>
#include <string>

namespace gpuhost::apiserver {

using Texts = std::map<std::string, std::string>;

// What an identity may do with one kind of object.
struct Rule {
  std::string resource;  // "nodes", "pods", "pods/eviction", "events"
  std::set<std::string> verbs;
  std::string name_space = {};  // empty: everywhere
};

struct ScriptedRuntimeClass {
  std::string name;
  std::string handler;
  Texts labels = {};
  Texts node_selector = {};
  Texts overhead = {};  // {"memory", "160Mi"}
};

struct ScriptedPod {
  std::string name;
  std::string name_space = "default";
  std::string node = {};
  Texts labels = {};
  std::string phase = "Running";
  std::string owner_kind = {};  // "DaemonSet", "ReplicaSet", ...; empty: nobody's
  bool mirror = false;
  Texts limits = {};     // of its one container: {"nvidia.com/pgpu", "1"}
  bool lingers = false;  // evicted or deleted by request, it terminates until DeletePod
};

// A PodDisruptionBudget with its status as it stands; nobody counts pods here.
struct ScriptedBudget {
  std::string name;
  std::string name_space = "default";
  Texts match = {};  // labels of its pods
  int needed = 1, healthy = 1;
  int allowed = 0;  // evictions, each uses one up
};

// A pod of a DaemonSet that a node label switches on: it is there while the label is "true".
struct Operand {
  std::string node;
  std::string label;  // "nvidia.com/gpu.deploy.device-plugin"
  std::string name_space;
  std::string app;  // its label "app", and how the pod's name begins
  // Follows a change of the label only once so many more requests have been seen.
  int lag = 0;
};

// What happens to requests in place of their answer. Where several match, the first is used up
// first.
struct Fault {
  enum class Kind {
    kAnswer,   // `code` with a Status object and, when it is not 0, Retry-After
    kText,     // `code` with `text` as it is
    kCut,      // the connection ends in the middle of the answer
    kHang,     // nothing until Release, then as if nothing had been
    kEndless,  // 200 and a text without an end and without a line's end
  };
  Kind kind = Kind::kAnswer;
  std::string match = {};  // part of "GET /api/v1/pods?limit=50"; empty: any request
  int times = 1;
  int code = 500;
  int retry_after = 0;
  std::string text = "scripted refusal";
};

enum class Outage {
  kNone,
  kCut,      // connections are made and end without an answer
  kRefused,  // endpoints asked for meanwhile lead to where nobody listens
};

// A PATCH as it came.
struct SentPatch {
  std::string path;
  std::string body;
};

}  // namespace gpuhost::apiserver
