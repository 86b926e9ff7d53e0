// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/kubelet.h"

#include <deviceplugin_v1beta1.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {

std::optional<KubeletId> FindKubelet(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return std::nullopt;
  return KubeletId{found.st_dev, found.st_ino,
                   int64_t{found.st_ctim.tv_sec} * 1'000'000'000 + found.st_ctim.tv_nsec};
}

absl::Status Register(const std::string& kubelet_socket, const std::string& endpoint,
                      const std::string& resource_name, Duration limit) {
  grpc::ChannelArguments arguments;
  // A connection of its own: gRPC would share one with the kubelet of before, and its back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1beta1::Registration::NewStub(grpc::CreateCustomChannel(
      "unix:" + kubelet_socket, grpc::InsecureChannelCredentials(), arguments));
  v1beta1::RegisterRequest request;
  request.set_version("v1beta1");
  request.set_endpoint(endpoint);
  request.set_resource_name(resource_name);
  v1beta1::Empty response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(limit));
  const grpc::Status status = stub->Register(&context, request, &response);
  if (status.ok()) return absl::OkStatus();
  return Error(static_cast<absl::StatusCode>(status.error_code()),
               "register {} at {}: {}; is the kubelet running, and is this its directory",
               resource_name, kubelet_socket, status.error_message());
}

}  // namespace gpuhost::sandbox_device_plugin
