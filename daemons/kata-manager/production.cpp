// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/production.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <ctime>

#include "daemons/common/rpc/runtime_handlers.h"
#include "daemons/common/rpc/runtime_version.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr Duration kProgress = std::chrono::seconds(5);
constexpr Duration kAnswerLimit = std::chrono::seconds(5);  // of CRI

// Whether somebody accepts connections there.
bool Answers(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket.c_str(), socket.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Production::Production(const Options& options, int stop_fd)
    : options_(options),
      stop_fd_(stop_fd),
      fs_(options.root),
      host_(options.host_root),
      services_(SystemdServices("unix:path=" + host_.Resolve("/run/systemd/private"), stop_fd)),
      http_(stop_fd),
      secrets_(fs_, http_, options.kubeconfig, options.name_space),
      fetcher_(
          fs_,
          {.http = http_,
           .clock = clock_,
           .stopping = [this] { return service::WaitReadable({stop_fd_}, Duration::zero())[0]; },
           .progress =
               [this](uint64_t arrived, uint64_t size) {
                 heartbeat_->Beat(clock_);
                 if (clock_.Now() - told_ < kProgress && arrived < size) return;
                 told_ = clock_.Now();
                 service::Log(service::Level::kInfo, "pulling",
                              {{"MiB", arrived >> 20}, {"of", size >> 20}});
               }},
          [this](const std::string& name) { return secrets_.Read(name); }) {}

Deps Production::deps() {
  return {.fs = fs_,
          .host = host_,
          .clock = clock_,
          .load_module = vfio::HostModprobe(options_.host_root),
          .restart = {*services_, clock_, [] { return std::time(nullptr); }, Answers,
                      [](const std::string& socket) {
                        return rpc::AskRuntimeHandlers(socket, kAnswerLimit);
                      },
                      [](const std::string& socket) {
                        return rpc::AskRuntimeVersion(socket, kAnswerLimit);
                      },
                      [this] { return service::WaitReadable({stop_fd_}, Duration::zero())[0]; }},
          .find_program =
              [this](const containerd::Location& where) {
                return containerd::FindProgram(host_, where, options_.host_root);
              },
          .fetch =
              [this](const RuntimeClass& entry, const Config& config) {
                return fetcher_.Fetch(entry, config, ArtifactsDir(options_, config));
              },
          .drift = Drift(clock_),
          .heartbeat = heartbeat_};
}

}  // namespace gpuhost::kata_manager
