// SPDX-License-Identifier: Apache-2.0
#include "test/kubelet/stand_in.h"

#include <deviceplugin_v1beta1.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <pluginregistration_v1.grpc.pb.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "libgpuhost/base/status.h"

namespace gpuhost::kubelet {
namespace {

constexpr std::chrono::seconds kCallLimit(10);

void Limit(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

void RemoveSockets(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(directory, error);
  std::vector<fs::path> sockets;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.is_socket(error)) sockets.push_back(entry.path());
  }
  for (const fs::path& socket : sockets) fs::remove(socket, error);
}

std::vector<Device> FromMessage(const v1beta1::ListAndWatchResponse& list) {
  std::vector<Device> devices;
  for (const v1beta1::Device& listed : list.devices()) {
    Device& device = devices.emplace_back(Device{listed.id(), listed.health() == "Healthy", {}});
    for (const v1beta1::NUMANode& node : listed.topology().nodes())
      device.numa.push_back(node.id());
  }
  return devices;
}

std::string Line(const std::string& resource, const Device& device) {
  const auto& numa = device.numa;
  return fmt::format("  {}={:<4} {:<9}  numa {}", resource, device.id,
                     device.healthy ? "Healthy" : "Unhealthy",
                     numa.empty() ? "unknown" : fmt::format("{}", fmt::join(numa, ",")));
}

// One registration of one plugin: a connection and the thread that follows its list.
struct Follower {
  explicit Follower(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub = v1beta1::DevicePlugin::NewStub(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
  }
  ~Follower() { context.TryCancel(); }  // the thread joins after this

  std::unique_ptr<v1beta1::DevicePlugin::Stub> stub;
  grpc::ClientContext context;
  std::jthread thread;
};

}  // namespace

class StandIn::Registry final : public v1beta1::Registration::Service {
 public:
  Registry(std::string directory, Print print)
      : directory_(std::move(directory)), print_(std::move(print)) {}

  absl::Status Serve() {
    const std::string socket = directory_ + "/kubelet.sock";
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_) return Error(absl::StatusCode::kUnavailable, "cannot listen on {}", socket);
    print_(fmt::format("listening on {}", socket));
    return absl::OkStatus();
  }

  ~Registry() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    // Their threads take the lock once more before they end.
    std::map<std::string, std::shared_ptr<Follower>> followers;
    std::vector<std::shared_ptr<Follower>> retired;
    const std::lock_guard lock(mutex_);
    followers.swap(followers_);
    retired.swap(retired_);
  }

  grpc::Status Register(grpc::ServerContext*, const v1beta1::RegisterRequest* request,
                        v1beta1::Empty*) override {
    const std::string& resource = request->resource_name();
    if (request->version() != "v1beta1" || request->endpoint().find('/') != std::string::npos ||
        resource.find('/') == std::string::npos) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "bad version, endpoint or resource"};
    }
    return Adopt(resource, directory_ + "/" + request->endpoint());
  }

  absl::Status Discover(const std::string& socket) {
    const auto stub = pluginregistration::Registration::NewStub(
        grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
    grpc::ClientContext asking, telling;
    Limit(asking);
    Limit(telling);
    pluginregistration::PluginInfo info;
    const grpc::Status asked = stub->GetInfo(&asking, {}, &info);
    if (!asked.ok()) return FromGrpc(asked);
    absl::Status adopted = absl::InvalidArgumentError("no device plugin of version v1beta1");
    if (info.type() == "DevicePlugin" && info.supported_versions_size() == 1 &&
        info.supported_versions(0) == "v1beta1") {
      adopted = FromGrpc(Adopt(info.name(), info.endpoint()));
    }
    pluginregistration::RegistrationStatus said;
    said.set_plugin_registered(adopted.ok());
    said.set_error(std::string(adopted.message()));
    pluginregistration::RegistrationStatusResponse response;
    const grpc::Status told = stub->NotifyRegistrationStatus(&telling, said, &response);
    return adopted.ok() ? FromGrpc(told) : adopted;
  }

  grpc::Status Adopt(const std::string& resource, const std::string& socket) {
    auto follower = std::make_shared<Follower>(socket);
    grpc::ClientContext context;
    Limit(context);
    v1beta1::DevicePluginOptions options;
    grpc::Status asked = follower->stub->GetDevicePluginOptions(&context, {}, &options);
    if (!asked.ok()) return asked;
    Change([&] {
      Resource& entry = resources_[resource];
      entry = {.endpoint = std::filesystem::path(socket).filename(),
               .registrations = entry.registrations + 1,
               .connected = true,
               .preferred_allocation = options.get_preferred_allocation_available(),
               .pre_start = options.pre_start_required()};
      print_(fmt::format("{} registered with {}", resource, entry.endpoint));
      std::shared_ptr<Follower>& slot = followers_[resource];
      if (slot) {
        slot->context.TryCancel();
        retired_.push_back(std::move(slot));
      }
      slot = follower;
      follower->thread = std::jthread([this, resource, &f = *follower] { Follow(resource, f); });
    });
    return grpc::Status::OK;
  }

  Resources resources() const {
    const std::lock_guard lock(mutex_);
    return resources_;
  }

  bool WaitFor(Duration limit, const std::function<bool(const Resources&)>& condition) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return condition(resources_); });
  }

  // One call, by `invoke`, to the plugin that registered last for `resource`.
  template <typename Response, typename Invoke>
  absl::StatusOr<Response> Call(const std::string& resource, Invoke invoke) const {
    const std::shared_ptr<Follower> follower = Find(resource);
    if (!follower) {
      return Error(absl::StatusCode::kNotFound, "{} is not registered", resource);
    }
    grpc::ClientContext context;
    Limit(context);
    Response response;
    const grpc::Status status = invoke(*follower->stub, &context, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

  absl::StatusOr<v1beta1::ContainerAllocateResponse> AllocateOne(
      const std::string& resource, const std::vector<std::string>& ids) const {
    v1beta1::AllocateRequest request;
    request.add_container_requests()->mutable_devices_ids()->Assign(ids.begin(), ids.end());
    GPUHOST_ASSIGN(const auto response, Call<v1beta1::AllocateResponse>(
                                            resource, [&](auto& stub, auto* context, auto* answer) {
                                              return stub.Allocate(context, request, answer);
                                            }));
    if (response.container_responses_size() != 1) {
      return absl::InternalError("not one answer for one container");
    }
    return response.container_responses(0);
  }

 private:
  std::shared_ptr<Follower> Find(const std::string& resource) const {
    const std::lock_guard lock(mutex_);
    const auto found = followers_.find(resource);
    return found == followers_.end() ? nullptr : found->second;
  }

  void Change(const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  void Follow(const std::string& resource, Follower& follower) {
    const auto stream = follower.stub->ListAndWatch(&follower.context, {});
    v1beta1::ListAndWatchResponse list;
    while (stream->Read(&list)) {
      Change([&] {
        if (!IsCurrent(resource, follower)) return;
        Resource& entry = resources_[resource];
        entry.devices = FromMessage(list);
        ++entry.lists;
        print_(fmt::format("{} lists {} devices", resource, entry.devices.size()));
        for (const Device& device : entry.devices) print_(Line(resource, device));
      });
    }
    static_cast<void>(stream->Finish());
    Change([&] {
      if (!IsCurrent(resource, follower)) return;
      Resource& entry = resources_[resource];
      entry.connected = false;
      for (Device& device : entry.devices) device.healthy = false;
      print_(fmt::format("{} ended its list", resource));
    });
  }

  // With the lock held: this follower was not replaced by a later registration.
  bool IsCurrent(const std::string& resource, const Follower& follower) const {
    const auto found = followers_.find(resource);
    return found != followers_.end() && found->second.get() == &follower;
  }

  const std::string directory_;
  const Print print_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Resources resources_;
  std::map<std::string, std::shared_ptr<Follower>> followers_;
  std::vector<std::shared_ptr<Follower>> retired_;  // replaced; joined at the end
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<StandIn>> StandIn::Start(const std::string& directory, Print print) {
  RemoveSockets(directory);
  auto registry = std::make_unique<Registry>(directory, std::move(print));
  GPUHOST_TRY(registry->Serve());
  return std::unique_ptr<StandIn>(new StandIn(std::move(registry)));
}

StandIn::StandIn(std::unique_ptr<Registry> registry) : registry_(std::move(registry)) {}
StandIn::~StandIn() = default;

Resources StandIn::resources() const { return registry_->resources(); }

bool StandIn::WaitFor(Duration limit,
                      const std::function<bool(const Resources&)>& condition) const {
  return registry_->WaitFor(limit, condition);
}

absl::Status StandIn::Discover(const std::string& socket) { return registry_->Discover(socket); }

absl::StatusOr<std::vector<DeviceSpec>> StandIn::Allocate(const std::string& resource,
                                                          const std::vector<std::string>& ids) {
  GPUHOST_ASSIGN(const auto answer, registry_->AllocateOne(resource, ids));
  std::vector<DeviceSpec> specs;
  for (const v1beta1::DeviceSpec& spec : answer.devices()) {
    specs.push_back({spec.host_path(), spec.container_path(), spec.permissions()});
  }
  return specs;
}

absl::StatusOr<std::map<std::string, std::string>> StandIn::Environment(
    const std::string& resource, const std::vector<std::string>& ids) {
  GPUHOST_ASSIGN(const auto answer, registry_->AllocateOne(resource, ids));
  return std::map<std::string, std::string>(answer.envs().begin(), answer.envs().end());
}

absl::StatusOr<std::vector<std::string>> StandIn::Prefer(const std::string& resource,
                                                         const std::vector<std::string>& available,
                                                         int count) {
  v1beta1::PreferredAllocationRequest request;
  auto& container = *request.add_container_requests();
  container.mutable_available_deviceids()->Assign(available.begin(), available.end());
  container.set_allocation_size(count);
  GPUHOST_ASSIGN(const auto response, registry_->Call<v1beta1::PreferredAllocationResponse>(
                                          resource, [&](auto& stub, auto* context, auto* answer) {
                                            return stub.GetPreferredAllocation(context, request,
                                                                               answer);
                                          }));
  if (response.container_responses_size() != 1) {
    return absl::InternalError("not one answer for one container");
  }
  const auto& ids = response.container_responses(0).deviceids();
  return std::vector<std::string>(ids.begin(), ids.end());
}

absl::Status StandIn::PreStart(const std::string& resource, const std::vector<std::string>& ids) {
  v1beta1::PreStartContainerRequest request;
  request.mutable_devices_ids()->Assign(ids.begin(), ids.end());
  return registry_
      ->Call<v1beta1::PreStartContainerResponse>(
          resource, [&](auto& stub, auto* context,
                        auto* answer) { return stub.PreStartContainer(context, request, answer); })
      .status();
}

}  // namespace gpuhost::kubelet
