// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/server.h"

#include <grpc/support/log.h>
#include <pluginregistration_v1.grpc.pb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "daemons/common/service/log.h"
#include "daemons/sandbox-device-plugin/feed.h"
#include "daemons/sandbox-device-plugin/prefer.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr std::chrono::seconds kStopLimit(1);
constexpr int kMaxPreferred = 4096;  // devices in one answer

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), Text(status)};
}

template <typename Repeated>
std::vector<std::string> ToStrings(const Repeated& repeated) {
  return {repeated.begin(), repeated.end()};
}

grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context,
                                const grpc::Status& status = grpc::Status::OK) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

// PCI_RESOURCE_NVIDIA_COM_PGPU, as KubeVirt looks for it.
std::string VariableOf(const std::string& resource) {
  std::string name = "PCI_RESOURCE_";
  for (const char c : resource) {
    const bool joiner = c == '/' || c == '.';
    name += joiner ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// What requests leave behind for the loop.
struct Notes {
  mutable std::mutex mutex;
  std::optional<absl::Status> registration;
  Server::Counters counters;
};

class DevicePlugin final : public v1beta1::DevicePlugin::CallbackService {
 public:
  DevicePlugin(Clock& clock, const Serving& service, Notes& notes)
      : feed(service.changed), clock_(clock), service_(service), notes_(notes) {}

  grpc::ServerUnaryReactor* GetDevicePluginOptions(grpc::CallbackServerContext* context,
                                                   const v1beta1::Empty*,
                                                   v1beta1::DevicePluginOptions* options) override {
    options->set_get_preferred_allocation_available(true);
    options->set_pre_start_required(service_.check_start);
    return Reply(context);
  }

  Feed::Reactor* ListAndWatch(grpc::CallbackServerContext*, const v1beta1::Empty*) override {
    return feed.Open();
  }

  grpc::ServerUnaryReactor* GetPreferredAllocation(
      grpc::CallbackServerContext* context, const v1beta1::PreferredAllocationRequest* request,
      v1beta1::PreferredAllocationResponse* response) override {
    std::vector<Unit> units;
    for (const Listed& listed : *feed.listed()) units.push_back(listed.unit);
    for (const auto& container : request->container_requests()) {
      const auto ids =
          Prefer(units, ToStrings(container.available_deviceids()),
                 ToStrings(container.must_include_deviceids()),
                 std::min(container.allocation_size(), kMaxPreferred), service_.partitions);
      response->add_container_responses()->mutable_deviceids()->Assign(ids.begin(), ids.end());
    }
    return Reply(context);
  }

  grpc::ServerUnaryReactor* Allocate(grpc::CallbackServerContext* context,
                                     const v1beta1::AllocateRequest* request,
                                     v1beta1::AllocateResponse* response) override {
    const TimePoint start = clock_.Now();
    const std::vector<std::string> ids = ListedOf(*request);
    service_.grants->Begin(ids);
    const absl::Status answered = AnswerAll(*request, *response);
    service_.grants->End(ids, answered.ok(), clock_.Now());
    {
      const std::lock_guard lock(notes_.mutex);
      ++(answered.ok() ? notes_.counters.allocated : notes_.counters.refused);
      notes_.counters.spent += clock_.Now() - start;
    }
    return Reply(context, answered.ok() ? grpc::Status::OK : ToGrpc(answered));
  }

  grpc::ServerUnaryReactor* PreStartContainer(grpc::CallbackServerContext* context,
                                              const v1beta1::PreStartContainerRequest* request,
                                              v1beta1::PreStartContainerResponse*) override {
    const absl::Status checked =
        CheckStart(*feed.listed(), ToStrings(request->devices_ids()), service_.find);
    if (checked.ok()) return Reply(context);
    const absl::Status refused = Annotate(checked, service_.resource);
    service::Log(service::Level::kError, "container not started", {{"error", refused}});
    return Reply(context, ToGrpc(refused));
  }

  Feed feed;

 private:
  absl::Status AnswerAll(const v1beta1::AllocateRequest& request,
                         v1beta1::AllocateResponse& response) {
    for (const auto& container : request.container_requests()) {
      GPUHOST_TRY(Answer(ToStrings(container.devices_ids()), *response.add_container_responses()));
    }
    return absl::OkStatus();
  }

  absl::Status Answer(const std::vector<std::string>& ids,
                      v1beta1::ContainerAllocateResponse& answer) {
    const auto allocation = Get(ids);
    if (!allocation.ok()) {
      const absl::Status refused = Annotate(allocation.status(), service_.resource);
      service::Log(service::Level::kError, "not allocated", {{"error", refused}});
      return refused;
    }
    for (const std::string& node : allocation->nodes) {
      v1beta1::DeviceSpec& spec = *answer.add_devices();
      spec.set_container_path(node);
      spec.set_host_path(node);
      spec.set_permissions("mrw");
    }
    if (service_.environment) {
      (*answer.mutable_envs())[VariableOf(service_.resource)] =
          fmt::format("{}", fmt::join(allocation->bdfs, ","));
    }
    service::Log(service::Level::kInfo, "allocated",
                 {{"resource", service_.resource},
                  {"ids", fmt::format("{}", fmt::join(ids, ","))},
                  {"devices", fmt::format("{}", fmt::join(allocation->bdfs, ","))},
                  {"nodes", fmt::format("{}", fmt::join(allocation->nodes, ","))}});
    return absl::OkStatus();
  }

  absl::StatusOr<Allocation> Get(const std::vector<std::string>& ids) {
    GPUHOST_ASSIGN(const Allocation wanted,
                   sandbox_device_plugin::Allocate(*feed.listed(), ids, service_.find));
    GPUHOST_TRY(service_.prepare(wanted.units));
    // That took its time: what was withdrawn meanwhile is not given away.
    return sandbox_device_plugin::Allocate(*feed.listed(), ids, service_.find);
  }

  // What it asks for, each once and without what there is not.
  std::vector<std::string> ListedOf(const v1beta1::AllocateRequest& request) const {
    std::set<std::string> asked;
    for (const auto& container : request.container_requests()) {
      asked.insert(container.devices_ids().begin(), container.devices_ids().end());
    }
    std::vector<std::string> ids;
    for (const Listed& one : *feed.listed()) {
      if (asked.contains(one.unit.id)) ids.push_back(one.unit.id);
    }
    return ids;
  }

  Clock& clock_;
  const Serving& service_;
  Notes& notes_;
};

class Watched final : public pluginregistration::Registration::CallbackService {
 public:
  Watched(const Serving& service, Notes& notes) : service_(service), notes_(notes) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const pluginregistration::InfoRequest*,
                                    pluginregistration::PluginInfo* info) override {
    info->set_type("DevicePlugin");
    info->set_name(service_.resource);
    info->set_endpoint(service_.socket);
    info->add_supported_versions("v1beta1");
    return Reply(context);
  }

  grpc::ServerUnaryReactor* NotifyRegistrationStatus(
      grpc::CallbackServerContext* context, const pluginregistration::RegistrationStatus* status,
      pluginregistration::RegistrationStatusResponse*) override {
    {
      const std::lock_guard lock(notes_.mutex);
      notes_.registration = status->plugin_registered()
                                ? absl::OkStatus()
                                : Error(absl::StatusCode::kFailedPrecondition,
                                        "the kubelet objects: {}", status->error());
    }
    service_.changed();
    return Reply(context);
  }

 private:
  const Serving& service_;
  Notes& notes_;
};

}  // namespace

struct Server::Running {
  Running(Clock& clock, Serving what) : service(std::move(what)), plugin(clock, service, notes) {}

  Serving service;
  Notes notes;
  DevicePlugin plugin;
  Watched watched{service, notes};
  std::unique_ptr<grpc::Server> server;
};

Server::Server(std::unique_ptr<Running> running) : running_(std::move(running)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Clock& clock, Serving service) {
  auto running = std::make_unique<Running>(clock, std::move(service));
  const std::string& socket = running->service.socket;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(&running->plugin);
  if (running->service.watched) builder.RegisterService(&running->watched);
  running->server = builder.BuildAndStart();
  if (!running->server) {
    return Error(absl::StatusCode::kUnavailable,
                 "listen on {}: refused; is the directory there and writable", socket);
  }
  ::chmod(socket.c_str(), 0600);
  return std::unique_ptr<Server>(new Server(std::move(running)));
}

void Server::Publish(std::vector<Listed> listed) {
  running_->plugin.feed.Publish(std::move(listed));
}

bool Server::Followed() const { return running_->plugin.feed.streams() > 0; }

std::optional<absl::Status> Server::Registration() const {
  const std::lock_guard lock(running_->notes.mutex);
  return running_->notes.registration;
}

void Server::Counters::operator+=(const Counters& other) {
  allocated += other.allocated;
  refused += other.refused;
  spent += other.spent;
}

Server::Counters Server::counters() const {
  const std::lock_guard lock(running_->notes.mutex);
  return running_->notes.counters;
}

Server::~Server() {
  // gRPC waits for open streams until its deadline, so they end first.
  running_->plugin.feed.Stop(empty_at_end_);
  running_->server->Shutdown(std::chrono::system_clock::now() + kStopLimit);
  ::unlink(running_->service.socket.c_str());
}

void LogGrpcAtDebug() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    service::Log(service::Level::kDebug, "gRPC", {{"text", line->message}});
  });
}

}  // namespace gpuhost::sandbox_device_plugin
