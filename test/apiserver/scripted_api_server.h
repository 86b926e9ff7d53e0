// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemons/common/kube/endpoint.h"
#include "test/apiserver/script.h"

namespace gpuhost::apiserver {

// An API server of nodes, pods, events and runtime classes, for what a real one cannot be made to
// do on demand. What it says in good health is what Kubernetes 1.34 says; a scenario on the cluster
// compares the two. Listens on 127.0.0.1 with TLS, on a port of its own, until the object goes. It
// knows no time: what follows something follows requests or is asked for.
class ScriptedApiServer {
 public:
  ScriptedApiServer();
  ~ScriptedApiServer();

  kube::Endpoint admin() const;     // may do everything that there is
  kube::Endpoint stranger() const;  // is known and may do nothing
  // What the GPU Operator gives cc-manager in that namespace: get, list, watch and patch nodes;
  // get, list and watch pods there.
  kube::Endpoint cc_manager(const std::string& name_space) const;
  // "system:serviceaccount:ns:name", with these rights from now on.
  kube::Endpoint account(const std::string& user, const std::vector<Rule>& rules) const;

  void AddNode(const std::string& name, const Texts& labels = {});
  // Empty when there is no such node.
  Texts LabelsOf(const std::string& name) const;
  Texts AnnotationsOf(const std::string& name) const;
  // As somebody else may do it: sets the labels, and removes those whose value is nothing.
  void SetLabels(const std::string& name,
                 const std::map<std::string, std::optional<std::string>>& labels);
  // As its kubelet and device plugins report it; others than these stay as they are.
  void SetAllocatable(const std::string& name, const Texts& quantities);
  void AddRuntimeClass(const ScriptedRuntimeClass& runtime_class);
  void SetVersion(const std::string& version);  // v1.34.2 at first
  void DeleteNode(const std::string& name);
  // Compaction and a restart: versions before that one are too old from now on.
  void Forget(const std::string& resource_version);
  void ForgetAll();  // all versions up to now, and all pages of pods
  // The nodes as they are now, with their versions; and back to that, as when etcd is restored.
  void TakeBackup();
  void RestoreBackup();

  std::string AddPod(const ScriptedPod& pod);  // its uid
  void DeletePod(const std::string& name_space, const std::string& name);
  bool HasPod(const std::string& name_space, const std::string& name) const;
  void AddBudget(const ScriptedBudget& budget);
  void AddOperand(const Operand& operand);
  // Operands stay as they are until they are let go, whatever their labels say.
  void HoldOperands();
  void ReleaseOperands();

  void AddFault(const Fault& fault);
  void ClearFaults();
  // Requests that hang go on.
  void Release();
  // Waits until so many requests hang, so that what happens next happens meanwhile.
  void AwaitHanging(int count = 1);
  // Watches that run are cut when an outage begins.
  void SetOutage(Outage outage);
  // The next `times` requests of whatever kind fail like that.
  void Refuse(int times, int code, int retry_after_seconds = 0);
  // The next `times` answers end in their middle, with the connection.
  void CutOff(int times);
  // Waits until a watch runs, so that what happens next happens to it.
  void AwaitWatch();
  // Watches that run now end in the middle of a line, with their connections.
  void CutWatches();
  // Tokens given out so far are not valid any more; admin() and the others give out new ones.
  void RenewToken();

  // "GET /api/v1/nodes/x", in the order of arrival, also those that failed.
  std::vector<std::string> requests() const;
  // Each PATCH that came, whatever the answer.
  std::vector<SentPatch> patches() const;
  // The events that were created, as JSON texts.
  std::vector<std::string> events() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuhost::apiserver
