// SPDX-License-Identifier: Apache-2.0
//
// Whatever bytes come as a request over the real socket to the plugin's real handlers. The first
// byte chooses the method, the rest is the message as it is on the wire.
#include <deviceplugin_v1beta1.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <future>

#include "daemons/common/service/log.h"
#include "daemons/sandbox-device-plugin/server.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"
#include "test/fuzz/check.h"

namespace {

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

constexpr std::array<const char*, 6> kMethods{
    "/v1beta1.DevicePlugin/Allocate",
    "/v1beta1.DevicePlugin/GetPreferredAllocation",
    "/v1beta1.DevicePlugin/PreStartContainer",
    "/v1beta1.DevicePlugin/GetDevicePluginOptions",
    "/pluginregistration.Registration/GetInfo",
    "/pluginregistration.Registration/NotifyRegistrationStatus",
};

// A server with four units, of which the first two are as they were listed and healthy.
class Bench {
 public:
  Bench() {
    gpr_set_log_function([](gpr_log_func_args*) {});
    google::protobuf::SetLogHandler(nullptr);
    service::StartLog("fuzz", service::Level::kError);
    std::vector<Listed> listed;
    for (uint8_t i = 0; i < 4; ++i) {
      listed.push_back({.unit = {.id = std::to_string(i),
                                 .bdfs = {{.bus = i}},
                                 .nodes = {fmt::format("/dev/vfio/{}", i)},
                                 .numa_node = i / 2},
                        .problem = {}});
    }
    listed[3].problem = {Reason::kGone, "is gone"};
    auto started = Server::Start(clock_, {.resource = "nvidia.com/pgpu",
                                          .socket = root_.path() + "/plugin.sock",
                                          .find = &Find,
                                          .check_start = true,
                                          .environment = true,
                                          .watched = true});
    Require(started.ok());
    server_ = *std::move(started);
    server_->Publish(std::move(listed));
  }

  grpc::Status Call(const char* method, const uint8_t* data, size_t size) {
    const grpc::Slice slice(data, size);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    std::promise<grpc::Status> done;
    stub_.UnaryCall(&context, method, {}, &request, &response,
                    [&done](grpc::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

 private:
  static absl::StatusOr<pci::Device> Find(const pci::Bdf& bdf) {
    if (bdf.bus > 1) return absl::NotFoundError("no such device");
    return pci::Device{.bdf = bdf, .driver = "vfio-pci", .iommu_group = bdf.bus};
  }

  SystemClock clock_;
  fake::TempRoot root_;
  std::unique_ptr<Server> server_;
  grpc::GenericStub stub_{grpc::CreateChannel("unix:" + root_.path() + "/plugin.sock",
                                              grpc::InsecureChannelCredentials())};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& bench = *new Bench;
  if (size == 0) return 0;
  const size_t method = data[0] % kMethods.size();
  const grpc::Status status = bench.Call(kMethods[method], data + 1, size - 1);
  // An error of GetPreferredAllocation would fail a pod. gRPC has one of its own, for what is no
  // message.
  const bool parsed =
      v1beta1::PreferredAllocationRequest().ParseFromArray(data + 1, static_cast<int>(size - 1));
  if (method == 1) Require(status.ok() == parsed);
  // The text goes into the events of a pod, which are UTF-8 and short.
  Require(status.error_message().size() < 1024);
  Require(std::ranges::all_of(status.error_message(), [](char c) { return c >= ' ' && c <= '~'; }));
  return 0;
}
