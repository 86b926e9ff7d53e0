// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemons/common/kube/endpoint.h"

namespace gpuhost::apiserver {

// An API server of nodes alone, for what a real one cannot be made to do on demand. What it says in
// good health is what Kubernetes 1.34 was seen to say; a scenario on the cluster compares the two.
// Listens on 127.0.0.1 with TLS, on a port of its own, until the object goes.
class ScriptedApiServer {
 public:
  ScriptedApiServer();
  ~ScriptedApiServer();

  kube::Endpoint admin() const;     // may get, list, watch, patch and delete nodes
  kube::Endpoint stranger() const;  // is known and may do nothing

  void AddNode(const std::string& name, const std::map<std::string, std::string>& labels = {});
  // Empty when there is no such node.
  std::map<std::string, std::string> LabelsOf(const std::string& name) const;
  void DeleteNode(const std::string& name);
  // Compaction and a restart: versions before that one are too old from now on.
  void Forget(const std::string& resource_version);
  void ForgetAll();  // all versions up to now

  // The next `times` requests fail like that; Retry-After is sent when it is not 0.
  void Refuse(int times, int code, int retry_after_seconds = 0);
  // The next `times` answers end in their middle, with the connection.
  void CutOff(int times);
  // Waits until a watch runs, so that what happens next happens to it.
  void AwaitWatch();
  // Watches that run now end in the middle of a line, with their connections.
  void CutWatches();
  // Tokens given out so far are not valid any more; admin() gives out a new one.
  void RenewToken();

  // "GET /api/v1/nodes/x", in the order of arrival.
  std::vector<std::string> requests() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuhost::apiserver
