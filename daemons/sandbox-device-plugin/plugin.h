// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemons/common/service/directory_watch.h"
#include "daemons/sandbox-device-plugin/backoff.h"
#include "daemons/sandbox-device-plugin/kubelet.h"
#include "daemons/sandbox-device-plugin/options.h"
#include "daemons/sandbox-device-plugin/problems.h"
#include "daemons/sandbox-device-plugin/report.h"
#include "daemons/sandbox-device-plugin/server.h"
#include "daemons/sandbox-device-plugin/withdrawal.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// Keeps three things equal to what is on vfio-pci: the CDI files, the lists that the servers give,
// and the registrations with the kubelet of now.
class Plugin {
 public:
  // `fs` is also read by threads of gRPC. `watch` is kept on the kubelet's directory.
  Plugin(HostFs& fs, Clock& clock, service::DirectoryWatch& watch, const Options& options);
  // Ends the servers and removes their sockets. CDI files stay, for pods that are starting.
  ~Plugin() = default;

  // One pass, the same at start as after any change. What fails is logged, and tried again by the
  // next pass; returns when that is due although nothing changes. Blocks up to 5 s for each
  // resource while the kubelet takes a registration and does not answer.
  Duration Reconcile();

  // For people: "nvidia.com/pgpu: 4 of 4 healthy, registered".
  std::string Summary() const;

 private:
  struct Served {
    std::vector<Listed> listed;
    std::string endpoint;
    std::unique_ptr<Server> server;
    std::optional<KubeletId> registered_with;
  };

  std::optional<Inventory> Observe();
  void ExplainNothing(const std::vector<pci::Device>& devices);
  // These tell whether all went well; where not, they have added to `problems_`.
  bool OfferAll(const std::vector<Resource>& resources);
  bool Offer(const Resource& resource, Served& served);
  // To the other daemons, when there is something new.
  void Report();
  bool RegisterAll();
  // Makes the server run, on a socket that is there.
  absl::Status Serve(const std::string& name, Served& served);

  HostFs& fs_;
  Clock& clock_;
  service::DirectoryWatch& watch_;
  const Options options_;
  // Set by the first pass that finds a device on vfio-pci, and final: ids of groups and of cdevs
  // must not meet in one process.
  std::optional<Backend> backend_;
  std::map<std::string, Served> served_;  // by name of the resource; never shrinks
  std::optional<KubeletId> kubelet_;      // as seen by the last pass
  std::optional<Inventory> inventory_;    // the newest
  WithdrawalReader cc_manager_;
  Withdrawal withdrawal_;  // as seen by the last pass
  std::optional<service::StatusDocument> reported_;
  Problems problems_;
  Backoff backoff_;
};

}  // namespace gpuhost::sandbox_device_plugin
