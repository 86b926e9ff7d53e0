// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/production.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cmath>
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
constexpr Duration kWorthALine = std::chrono::seconds(2);   // of waiting
constexpr uint64_t kWorthTelling = 1 << 20;                 // bytes of a blob
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

Production::Production(const Options& options, int stop_fd, Clock* clock)
    : options_(options),
      stop_fd_(stop_fd),
      clock_(clock == nullptr ? system_clock_ : *clock),
      fs_(options.root),
      host_(options.host_root),
      services_(SystemdServices("unix:path=" + host_.Resolve("/run/systemd/private"), stop_fd)),
      background_(MakeBackground()),
      http_(background_ ? background_->cancel_fd() : stop_fd),
      secrets_(fs_, http_, options.kubeconfig, options.name_space),
      fetcher_(fs_,
               {.http = http_,
                .clock = clock_,
                .stopping = stopping(),
                .waiting =
                    [](Duration pause, const absl::Status& why) {
                      if (pause < kWorthALine) return;
                      service::Log(service::Level::kInfo, "the registry is asked again later",
                                   {{"seconds", std::llround(Seconds(pause))}, {"reason", why}});
                    },
                .progress =
                    [this](uint64_t arrived, uint64_t size) {
                      // Beside the passes it tells nothing of them.
                      if (!background_) heartbeat_->Beat(clock_);
                      if (size < kWorthTelling) return;
                      if (clock_.Now() - told_ < kProgress && arrived < size) return;
                      told_ = clock_.Now();
                      service::Log(service::Level::kInfo, "pulling",
                                   {{"MiB", arrived >> 20}, {"of", size >> 20}});
                    }},
               [this](const std::string& name) { return secrets_.Read(name); }) {}

Production::~Production() {
  if (background_) background_->Cancel();
}

std::unique_ptr<artifacts::BackgroundFetch> Production::MakeBackground() {
  if (options_.verb != Verb::kRun) return nullptr;
  return std::make_unique<artifacts::BackgroundFetch>(
      [this](const RuntimeClass& entry, const Config& config) {
        return fetcher_.FetchLocal(entry, config, ArtifactsDir(options_, config));
      },
      [this](const RuntimeClass& entry, const Config& config) {
        return fetcher_.Fetch(entry, config, ArtifactsDir(options_, config));
      });
}

// Of the whole process, or of the fetch that is under way.
Stopping Production::stopping() const {
  return [this] {
    const int cancel = background_ ? background_->cancel_fd() : -1;
    return !service::WaitReadable({stop_fd_, cancel}, Duration::zero()).none();
  };
}

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
                return background_ ? background_->Fetch(entry, config)
                                   : fetcher_.Fetch(entry, config, ArtifactsDir(options_, config));
              },
          .drift = Drift(clock_),
          .stopping = stopping(),
          .fetched_fd = background_ ? background_->done_fd() : -1,
          .cancel_fetch =
              [this] {
                if (background_) background_->Cancel();
              },
          .heartbeat = heartbeat_};
}

}  // namespace gpuhost::kata_manager
