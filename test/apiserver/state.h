// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "test/apiserver/events.h"
#include "test/apiserver/faults.h"
#include "test/apiserver/operands.h"
#include "test/apiserver/pods.h"
#include "test/apiserver/rights.h"
#include "test/apiserver/store.h"

namespace gpuhost::apiserver {

// Everything that the server has and is told to do. `mutex` guards all but the store, which has one
// of its own, and `cuts`.
struct State {
  // What a healthy server says to who may ask this; the mutex is held.
  Answer Reply(const Query& query);
  // Operands look at the labels; the mutex is held.
  void Follow() { operands.Follow(store, pods, requests.size()); }

  mutable std::mutex mutex;
  std::condition_variable watching, moved;
  Store store;
  Pods pods;
  Operands operands;
  Events events;
  Faults faults;
  Rights rights;
  std::vector<ScriptedRuntimeClass> runtime_classes;
  std::string version = "v1.34.2";
  std::vector<std::string> requests;
  std::vector<SentPatch> patches;
  Outage outage = Outage::kNone;
  int watches = 0;  // that run and have not been cut
  std::atomic<int> cuts = 0;
  int hanging = 0, releases = 0;
  bool closing = false;
};

}  // namespace gpuhost::apiserver
