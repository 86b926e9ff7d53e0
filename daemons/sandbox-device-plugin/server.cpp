// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/server.h"

#include <deviceplugin_v1beta1.grpc.pb.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <set>

#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr std::chrono::seconds kStopLimit(1);

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), Text(status)};
}

v1beta1::ListAndWatchResponse ToMessage(const std::vector<Listed>& listed) {
  v1beta1::ListAndWatchResponse message;
  for (const Listed& one : listed) {
    v1beta1::Device& device = *message.add_devices();
    device.set_id(one.unit.id);
    device.set_health(one.healthy() ? "Healthy" : "Unhealthy");
    if (one.unit.numa_node) device.mutable_topology()->add_nodes()->set_id(*one.unit.numa_node);
  }
  return message;
}

class Stream;

// The list of now and the streams that must hear of it. gRPC never reacts inside of a call that
// starts something (StartWrite, Finish), so the lock is held across them.
struct Feed {
  std::mutex mutex;
  std::vector<Listed> listed;
  uint64_t version = 0;
  bool stopping = false;
  std::set<Stream*> streams;
};

// One ListAndWatch. At most one write is on its way; Finish comes when none is.
class Stream final : public grpc::ServerWriteReactor<v1beta1::ListAndWatchResponse> {
 public:
  explicit Stream(Feed& feed) : feed_(feed) {
    const std::lock_guard lock(feed_.mutex);
    feed_.streams.insert(this);
    Advance();
  }

  // With the lock held: starts what comes next.
  void Advance() {
    if (writing_ || finished_) return;
    if (ended_ || feed_.stopping) {
      finished_ = true;
      Finish(grpc::Status::OK);
    } else if (sent_ != feed_.version) {
      sent_ = feed_.version;
      message_ = ToMessage(feed_.listed);
      writing_ = true;
      StartWrite(&message_);
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(feed_.mutex);
    writing_ = false;
    ended_ = ended_ || !ok;
    Advance();
  }

  void OnCancel() override {
    const std::lock_guard lock(feed_.mutex);
    ended_ = true;
    Advance();
  }

  void OnDone() override {
    {
      const std::lock_guard lock(feed_.mutex);
      feed_.streams.erase(this);
    }
    delete this;
  }

 private:
  Feed& feed_;
  v1beta1::ListAndWatchResponse message_;
  uint64_t sent_ = 0;
  bool writing_ = false;
  bool ended_ = false;  // the other side is gone
  bool finished_ = false;
};

grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

class Server::Service final : public v1beta1::DevicePlugin::CallbackService {
 public:
  Service(std::string resource, FindDevice find)
      : resource_(std::move(resource)), find_(std::move(find)) {}

  void Update(const std::function<void(Feed&)>& change) {
    const std::lock_guard lock(feed_.mutex);
    change(feed_);
    for (Stream* stream : feed_.streams) stream->Advance();
  }

  grpc::ServerUnaryReactor* GetDevicePluginOptions(grpc::CallbackServerContext* context,
                                                   const v1beta1::Empty*,
                                                   v1beta1::DevicePluginOptions*) override {
    return Reply(context, grpc::Status::OK);  // neither is offered
  }

  grpc::ServerWriteReactor<v1beta1::ListAndWatchResponse>* ListAndWatch(
      grpc::CallbackServerContext*, const v1beta1::Empty*) override {
    return new Stream(feed_);
  }

  grpc::ServerUnaryReactor* GetPreferredAllocation(
      grpc::CallbackServerContext* context, const v1beta1::PreferredAllocationRequest* request,
      v1beta1::PreferredAllocationResponse* response) override {
    for (int i = 0; i < request->container_requests_size(); ++i) {
      response->add_container_responses();  // no preference
    }
    return Reply(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* Allocate(grpc::CallbackServerContext* context,
                                     const v1beta1::AllocateRequest* request,
                                     v1beta1::AllocateResponse* response) override {
    const std::vector<Listed> listed = Snapshot();
    for (const auto& container : request->container_requests()) {
      const std::vector<std::string> ids(container.devices_ids().begin(),
                                         container.devices_ids().end());
      const auto nodes = sandbox_device_plugin::Allocate(listed, ids, find_);
      if (!nodes.ok()) {
        const absl::Status refused = Annotate(nodes.status(), resource_);
        service::Log(service::Level::kError, "not allocated", {{"error", refused}});
        return Reply(context, ToGrpc(refused));
      }
      auto& answer = *response->add_container_responses();
      for (const std::string& node : *nodes) {
        v1beta1::DeviceSpec& spec = *answer.add_devices();
        spec.set_container_path(node);
        spec.set_host_path(node);
        spec.set_permissions("mrw");
      }
      service::Log(service::Level::kInfo, "allocated",
                   {{"resource", resource_},
                    {"ids", fmt::format("{}", fmt::join(ids, ","))},
                    {"nodes", fmt::format("{}", fmt::join(*nodes, ","))}});
    }
    return Reply(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* PreStartContainer(grpc::CallbackServerContext* context,
                                              const v1beta1::PreStartContainerRequest*,
                                              v1beta1::PreStartContainerResponse*) override {
    return Reply(context, grpc::Status::OK);
  }

 private:
  std::vector<Listed> Snapshot() {
    const std::lock_guard lock(feed_.mutex);
    return feed_.listed;
  }

  const std::string resource_;
  const FindDevice find_;
  Feed feed_;
};

struct Server::Running {
  std::string socket;
  Service service;
  std::unique_ptr<grpc::Server> server = nullptr;
};

Server::Server(std::unique_ptr<Running> running) : running_(std::move(running)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const std::string& resource,
                                                      const std::string& socket, FindDevice find) {
  auto running = std::unique_ptr<Running>(new Running{socket, {resource, std::move(find)}});
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(&running->service);
  running->server = builder.BuildAndStart();
  if (!running->server) {
    return Error(absl::StatusCode::kUnavailable,
                 "listen on {}: refused; is the directory there and writable", socket);
  }
  ::chmod(socket.c_str(), 0600);
  return std::unique_ptr<Server>(new Server(std::move(running)));
}

void Server::Publish(std::vector<Listed> listed) {
  running_->service.Update([&](Feed& feed) {
    feed.listed = std::move(listed);
    ++feed.version;
  });
}

Server::~Server() {
  // gRPC waits for open streams until its deadline, so they end first.
  running_->service.Update([](Feed& feed) { feed.stopping = true; });
  running_->server->Shutdown(std::chrono::system_clock::now() + kStopLimit);
  ::unlink(running_->socket.c_str());
}

void LogGrpcAtDebug() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    service::Log(service::Level::kDebug, "gRPC", {{"text", line->message}});
  });
}

}  // namespace gpuhost::sandbox_device_plugin
