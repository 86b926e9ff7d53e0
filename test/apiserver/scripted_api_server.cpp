// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/scripted_api_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/apiserver/http_server.h"

namespace gpuhost::apiserver {
namespace {

constexpr const char* kAdmin = "admin";
constexpr const char* kStranger = "system:serviceaccount:default:stranger";

const std::vector<Rule> kEverything = {
    {"nodes", {"get", "list", "watch", "patch", "delete"}},
    {"pods", {"get", "list", "watch", "delete"}},
    {"pods/eviction", {"create"}},
    {"events", {"create", "list"}},
    {"runtimeclasses", {"list"}},
};

// A port where nobody listens, and nobody else can for as long as this is held.
struct DeadPort {
  DeadPort() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    ::bind(socket.get(), generic, size);
    ::getsockname(socket.get(), generic, &size);
    number = ntohs(address.sin_port);
  }
  UniqueFd socket;
  int number;
};

}  // namespace

struct ScriptedApiServer::Impl {
  void FollowLabels() {
    const std::lock_guard lock(state.mutex);
    state.Follow();
  }

  Texts MetadataOf(const std::string& node, const std::string& part) const {
    const Answer answer = state.store.Get(node);
    const Json::json_pointer where("/metadata/" + part);
    return answer.body.contains(where) ? answer.body[where].get<Texts>() : Texts();
  }

  kube::Endpoint EndpointOf(const std::string& user, const std::vector<Rule>& rules) {
    const std::lock_guard lock(state.mutex);
    const int to = state.outage == Outage::kRefused ? dead.number : http.port();
    return {.server = fmt::format("https://127.0.0.1:{}", to),
            .ca_pem = http.ca_pem(),
            .token = state.rights.Admit(user, rules)};
  }

  State state;
  DeadPort dead;
  HttpServer http{state};
};

ScriptedApiServer::ScriptedApiServer() : impl_(std::make_unique<Impl>()) {}
ScriptedApiServer::~ScriptedApiServer() = default;

kube::Endpoint ScriptedApiServer::admin() const { return impl_->EndpointOf(kAdmin, kEverything); }
kube::Endpoint ScriptedApiServer::stranger() const { return impl_->EndpointOf(kStranger, {}); }
kube::Endpoint ScriptedApiServer::cc_manager(const std::string& name_space) const {
  return account("system:serviceaccount:" + name_space + ":nvidia-cc-manager",
                 {{"nodes", {"get", "list", "patch", "watch"}},
                  {"pods", {"get", "list", "watch"}, name_space}});
}
kube::Endpoint ScriptedApiServer::account(const std::string& user,
                                          const std::vector<Rule>& rules) const {
  return impl_->EndpointOf(user, rules);
}

void ScriptedApiServer::AddNode(const std::string& name, const Texts& labels) {
  impl_->state.store.Add(name, labels);
  impl_->FollowLabels();
}

Texts ScriptedApiServer::LabelsOf(const std::string& name) const {
  return impl_->MetadataOf(name, "labels");
}
Texts ScriptedApiServer::AnnotationsOf(const std::string& name) const {
  return impl_->MetadataOf(name, "annotations");
}

void ScriptedApiServer::SetLabels(const std::string& name,
                                  const std::map<std::string, std::optional<std::string>>& labels) {
  Json patch = Json::object();
  for (const auto& [key, value] : labels) patch[key] = value ? Json(*value) : Json();
  impl_->state.store.Patch(name, Json{{"metadata", {{"labels", patch}}}}.dump());
  impl_->FollowLabels();
}

void ScriptedApiServer::SetAllocatable(const std::string& name, const Texts& quantities) {
  impl_->state.store.Patch(name, Json{{"status", {{"allocatable", quantities}}}}.dump());
}

void ScriptedApiServer::AddRuntimeClass(const ScriptedRuntimeClass& runtime_class) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.runtime_classes.push_back(runtime_class);
}

void ScriptedApiServer::SetVersion(const std::string& version) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.version = version;
}

void ScriptedApiServer::DeleteNode(const std::string& name) {
  impl_->state.store.Delete(name);
  impl_->FollowLabels();
}

void ScriptedApiServer::Forget(const std::string& resource_version) {
  impl_->state.store.Forget(ParseDecimal(resource_version).value_or(0));
}

void ScriptedApiServer::ForgetAll() {
  impl_->state.store.ForgetAll();
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.pods.Forget();
}

void ScriptedApiServer::TakeBackup() { impl_->state.store.TakeBackup(); }

void ScriptedApiServer::RestoreBackup() { impl_->state.store.RestoreBackup(); }

std::string ScriptedApiServer::AddPod(const ScriptedPod& pod) {
  const std::lock_guard lock(impl_->state.mutex);
  return impl_->state.pods.Add(pod);
}

void ScriptedApiServer::DeletePod(const std::string& name_space, const std::string& name) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.pods.Remove(name_space, name);
}

bool ScriptedApiServer::HasPod(const std::string& name_space, const std::string& name) const {
  const std::lock_guard lock(impl_->state.mutex);
  return impl_->state.pods.Contains(name_space, name);
}

void ScriptedApiServer::AddBudget(const ScriptedBudget& budget) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.pods.Add(budget);
}

void ScriptedApiServer::AddOperand(const Operand& operand) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.operands.Add(operand);
  impl_->state.Follow();
}

void ScriptedApiServer::HoldOperands() {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.operands.Hold(true);
}

void ScriptedApiServer::ReleaseOperands() {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.operands.Hold(false);
  impl_->state.Follow();
}

void ScriptedApiServer::AddFault(const Fault& fault) {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.faults.Add(fault);
}

void ScriptedApiServer::ClearFaults() {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.faults.Clear();
}

void ScriptedApiServer::Release() {
  const std::lock_guard lock(impl_->state.mutex);
  ++impl_->state.releases;
  impl_->state.moved.notify_all();
}

void ScriptedApiServer::AwaitHanging(int count) {
  std::unique_lock lock(impl_->state.mutex);
  impl_->state.moved.wait(lock, [&] { return impl_->state.hanging >= count; });
}

void ScriptedApiServer::SetOutage(Outage outage) {
  {
    const std::lock_guard lock(impl_->state.mutex);
    impl_->state.outage = outage;
  }
  if (outage != Outage::kNone) CutWatches();
}

void ScriptedApiServer::AwaitWatch() {
  std::unique_lock lock(impl_->state.mutex);
  impl_->state.watching.wait(lock, [this] { return impl_->state.watches > 0; });
}

void ScriptedApiServer::CutWatches() {
  {
    const std::lock_guard lock(impl_->state.mutex);
    ++impl_->state.cuts;
    impl_->state.watches = 0;
  }
  impl_->state.store.Wake();
}

void ScriptedApiServer::Refuse(int times, int code, int retry_after_seconds) {
  AddFault({.times = times, .code = code, .retry_after = retry_after_seconds});
}

void ScriptedApiServer::CutOff(int times) { AddFault({.kind = Fault::Kind::kCut, .times = times}); }

void ScriptedApiServer::RenewToken() {
  const std::lock_guard lock(impl_->state.mutex);
  impl_->state.rights.Renew();
}

std::vector<std::string> ScriptedApiServer::requests() const {
  const std::lock_guard lock(impl_->state.mutex);
  return impl_->state.requests;
}

std::vector<SentPatch> ScriptedApiServer::patches() const {
  const std::lock_guard lock(impl_->state.mutex);
  return impl_->state.patches;
}

std::vector<std::string> ScriptedApiServer::events() const {
  const std::lock_guard lock(impl_->state.mutex);
  return impl_->state.events.Texts();
}

}  // namespace gpuhost::apiserver
