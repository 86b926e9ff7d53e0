// SPDX-License-Identifier: Apache-2.0
#include "test/kubelet/scripted_method.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::kubelet {

class ScriptedMethod::Server : public grpc::CallbackGenericService {
 public:
  Server(std::string method, std::string answer)
      : method_(std::move(method)), answer_(std::move(answer)) {}
  ~Server() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
  }

  absl::Status Serve(const std::string& socket) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    if (!server_) return Error(absl::StatusCode::kUnavailable, "cannot listen on {}", socket);
    return absl::OkStatus();
  }

 private:
  // One call; gRPC ends it with OnDone.
  class Call : public grpc::ServerGenericBidiReactor {
   public:
    Call(Server& server, bool known) : server_(server), known_(known) { StartRead(&request_); }
    void OnReadDone(bool ok) override {
      if (!ok || !known_) return Finish({grpc::StatusCode::UNIMPLEMENTED, "unknown method"});
      const grpc::Slice slice(server_.answer_);
      answer_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&answer_, {}, grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    Server& server_;
    const bool known_;
    grpc::ByteBuffer request_, answer_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* call) override {
    return new Call(*this, call->method() == method_);
  }

  const std::string method_, answer_;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<ScriptedMethod>> ScriptedMethod::Start(const std::string& socket,
                                                                      const std::string& method,
                                                                      const std::string& answer) {
  auto server = std::make_unique<Server>(method, answer);
  GPUHOST_TRY(server->Serve(socket));
  return std::unique_ptr<ScriptedMethod>(new ScriptedMethod(std::move(server)));
}

ScriptedMethod::ScriptedMethod(std::unique_ptr<Server> server) : server_(std::move(server)) {}
ScriptedMethod::~ScriptedMethod() = default;

}  // namespace gpuhost::kubelet
