// SPDX-License-Identifier: Apache-2.0
#include "test/kubelet/pod_resources.h"

#include <grpcpp/grpcpp.h>
#include <podresources_v1.grpc.pb.h>

#include <filesystem>
#include <mutex>

#include "libgpuhost/base/status.h"

namespace gpuhost::kubelet {

class PodResources::Lister final : public v1::PodResourcesLister::Service {
 public:
  absl::Status Serve(const std::string& socket) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(socket).parent_path(), error);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_) return Error(absl::StatusCode::kUnavailable, "cannot listen on {}", socket);
    return absl::OkStatus();
  }

  ~Lister() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
  }

  void Change(const std::function<void(Lister&)>& change) {
    const std::lock_guard lock(mutex_);
    change(*this);
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListPodResourcesRequest*,
                    v1::ListPodResourcesResponse* response) override {
    const std::lock_guard lock(mutex_);
    if (hook) hook();
    if (!refusal.ok()) return {static_cast<grpc::StatusCode>(refusal.code()), Text(refusal)};
    for (const Assigned& one : assigned) {
      v1::PodResources& pod = *response->add_pod_resources();
      pod.set_name(one.pod);
      pod.set_namespace_(one.pod_namespace);
      v1::ContainerResources& container = *pod.add_containers();
      container.set_name(one.container);
      v1::ContainerDevices& devices = *container.add_devices();
      devices.set_resource_name(one.resource);
      devices.mutable_device_ids()->Assign(one.ids.begin(), one.ids.end());
    }
    return grpc::Status::OK;
  }

  std::vector<Assigned> assigned;
  absl::Status refusal;
  std::function<void()> hook;

 private:
  std::mutex mutex_;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<PodResources>> PodResources::Start(const std::string& socket) {
  auto lister = std::make_unique<Lister>();
  GPUHOST_TRY(lister->Serve(socket));
  return std::unique_ptr<PodResources>(new PodResources(std::move(lister)));
}

PodResources::PodResources(std::unique_ptr<Lister> lister) : lister_(std::move(lister)) {}
PodResources::~PodResources() = default;

void PodResources::Set(std::vector<Assigned> assigned) {
  lister_->Change([&](Lister& lister) { lister.assigned = std::move(assigned); });
}

void PodResources::Refuse(absl::Status refusal) {
  lister_->Change([&](Lister& lister) { lister.refusal = std::move(refusal); });
}

void PodResources::OnList(std::function<void()> hook) {
  lister_->Change([&](Lister& lister) { lister.hook = std::move(hook); });
}

}  // namespace gpuhost::kubelet
