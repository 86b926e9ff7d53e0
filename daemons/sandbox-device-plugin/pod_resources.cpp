// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/pod_resources.h"

#include <grpcpp/grpcpp.h>
#include <podresources_v1.grpc.pb.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr int kMaxAnswer = 16 << 20;  // bytes; gRPC's own limit is too low for a node full of pods

}  // namespace

absl::StatusOr<Assignments> ListAssignments(const std::string& socket, Duration limit) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxAnswer);
  const auto stub = v1::PodResourcesLister::NewStub(
      grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
  v1::ListPodResourcesResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(limit));
  const grpc::Status status = stub->List(&context, {}, &response);
  if (!status.ok()) {
    return Error(static_cast<absl::StatusCode>(status.error_code()), "list pods at {}: {}", socket,
                 status.error_message());
  }
  Assignments assignments;
  for (const v1::PodResources& pod : response.pod_resources()) {
    for (const v1::ContainerResources& container : pod.containers()) {
      const std::string user =
          fmt::format("{}/{}/{}", pod.namespace_(), pod.name(), container.name());
      for (const v1::ContainerDevices& devices : container.devices()) {
        for (const std::string& id : devices.device_ids()) {
          auto& users = assignments[{devices.resource_name(), id}];
          // A device whose container has several NUMA nodes is told once for each.
          if (users.empty() || users.back() != user) users.push_back(user);
        }
      }
    }
  }
  return assignments;
}

}  // namespace gpuhost::sandbox_device_plugin
