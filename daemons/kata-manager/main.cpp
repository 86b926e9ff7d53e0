// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <ctime>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/kata-manager/daemon.h"
#include "daemons/kata-manager/verbs.h"

namespace {

// Whether somebody accepts connections there.
bool Answers(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket.c_str(), socket.size());
  const gpuhost::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace gpuhost;

  const auto parsed = kata_manager::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<kata_manager::Options>(parsed);
  service::StartLog("kata-manager",
                    options.verbose ? service::Level::kDebug : service::Level::kInfo);
  const auto stop = service::StopSignal::Block();
  if (!stop.ok()) {
    service::Log(service::Level::kError, "cannot start", {{"error", stop.status()}});
    return service::kFailed;
  }

  HostFs fs(options.root);
  const HostFs host(options.host_root);
  SystemClock clock;
  const auto services = kata_manager::SystemdServices(
      "unix:path=" + host.Resolve("/run/systemd/private"), stop->fd());
  kata_manager::Deps deps{
      .fs = fs,
      .host = host,
      .clock = clock,
      .load_module = vfio::HostModprobe(options.host_root),
      .restart = {*services, clock, [] { return std::time(nullptr); }, Answers},
      .find_program =
          [&](const kata_manager::containerd::Location& where) {
            return kata_manager::containerd::FindProgram(host, where, options.host_root);
          },
      .fetch = [](const kata_manager::RuntimeClass& entry, const kata_manager::Config&)
          -> absl::StatusOr<kata_manager::Recipe> {
        return absl::UnimplementedError("artefacts of class " + entry.name +
                                        " cannot be pulled yet; use configPath");
      }};
  return options.verb == kata_manager::Verb::kRun ? kata_manager::RunDaemon(deps, options, *stop)
                                                  : kata_manager::RunOnce(deps, options);
}
