// SPDX-License-Identifier: Apache-2.0
//
// The part of Plugin that keeps servers running and the kubelet knowing of them.
#include <random>

#include "daemons/sandbox-device-plugin/endpoint.h"
#include "daemons/sandbox-device-plugin/plugin.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;

constexpr Duration kRegisterLimit = std::chrono::seconds(5);  // the kubelet calls back meanwhile
// A kubelet that took a registration opens its stream within so long, else it has lost it.
constexpr Duration kFollowLimit = std::chrono::seconds(2);

}  // namespace

std::string Plugin::SocketDirectory() const {
  return options_.plugin_watcher ? options_.plugins_registry : options_.kubelet_dir;
}

bool Plugin::IsRegistered(const Served& served) const {
  if (!served.server) return false;
  if (options_.plugin_watcher) return served.server->Registration() == absl::OkStatus();
  return kubelet_ && served.registered_with == kubelet_;
}

absl::Status Plugin::Serve(const std::string& name, Served& served) {
  const std::string directory = SocketDirectory();
  // A kubelet that starts removes all sockets; behind one that is gone nobody reaches the server.
  if (served.server && fs_.Exists(fmt::format("{}/{}", directory, served.endpoint))) {
    return absl::OkStatus();
  }
  if (served.server) served.earlier += served.server->counters();
  served.server.reset();
  served.registered_with.reset();
  const std::string where = fs_.Resolve(directory);
  GPUHOST_ASSIGN(served.endpoint, EndpointName(where, name, std::random_device()()));
  GPUHOST_ASSIGN(
      served.server,
      Server::Start(clock_,
                    {.resource = FullName(name),
                     .socket = fmt::format("{}/{}", where, served.endpoint),
                     .find = [this](const pci::Bdf& bdf) { return pci::ReadDevice(fs_, bdf); },
                     .prepare = [this](const auto& units) { return tenancy_.Prepare(units); },
                     .grants = served.grants,
                     .changed = [this] { wakeup_.Poke(); },
                     .check_start = options_.check_start,
                     .environment = options_.environment,
                     .partitions = options_.partitions,
                     .watched = options_.plugin_watcher}));
  served.registered_at = clock_.Now();
  served.server->Publish(served.listed);
  return absl::OkStatus();
}

bool Plugin::RegisterAll() {
  const std::string socket = fs_.Resolve(options_.kubelet_dir + "/kubelet.sock");
  const std::optional<KubeletId> kubelet = FindKubelet(socket);
  if (kubelet != kubelet_) {
    backoff_.Reset();
    pods_.KubeletChanged();
  }
  kubelet_ = kubelet;
  bool fine = true;
  for (auto& [name, served] : served_) {
    if (served.server) fine &= RegisterOne(name, socket, served);
  }
  return fine;
}

bool Plugin::RegisterOne(const std::string& name, const std::string& kubelet_socket,
                         Served& served) {
  const std::string full_name = FullName(name);
  if (served.server->Followed() && (options_.plugin_watcher || IsRegistered(served))) return true;
  const Duration waited = clock_.Now() - served.registered_at;
  if (options_.plugin_watcher) {  // the kubelet comes by itself
    const auto said = served.server->Registration();
    if (said) problems_.Add("not registered", full_name, *said);
    if (said && waited >= kFollowLimit) {
      // Its stream has ended, and it does not come back to a socket that it knows.
      fs_.Remove(fmt::format("{}/{}", SocketDirectory(), served.endpoint)).IgnoreError();
      return false;
    }
    return true;
  }
  if (!kubelet_) {
    problems_.Add(Level::kWarning, "waiting for the kubelet", kubelet_socket,
                  "no socket is there; is the kubelet running, and is this its directory");
    return true;
  }
  if (IsRegistered(served)) {
    if (waited < kFollowLimit) {
      Soon(kFollowLimit - waited);
      return true;
    }
    problems_.Add(Level::kWarning, "registering again", full_name,
                  "the kubelet does not follow the list");
  }
  const absl::Status status = Register(kubelet_socket, served.endpoint, full_name, kRegisterLimit);
  progress_();
  problems_.Add("not registered", full_name, status);
  if (!status.ok()) {
    served.registered_with.reset();
    return false;
  }
  served.registered_with = kubelet_;
  served.registered_at = clock_.Now();
  ++served.registrations;
  Soon(kFollowLimit);
  service::Log(Level::kInfo, "registered with the kubelet",
               {{"resource", full_name}, {"endpoint", served.endpoint}});
  return true;
}

}  // namespace gpuhost::sandbox_device_plugin
