// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemons/common/service/directory_watch.h"
#include "daemons/sandbox-device-plugin/backoff.h"
#include "daemons/sandbox-device-plugin/grants.h"
#include "daemons/sandbox-device-plugin/kubelet.h"
#include "daemons/sandbox-device-plugin/observer.h"
#include "daemons/sandbox-device-plugin/options.h"
#include "daemons/sandbox-device-plugin/pods.h"
#include "daemons/sandbox-device-plugin/problems.h"
#include "daemons/sandbox-device-plugin/report.h"
#include "daemons/sandbox-device-plugin/server.h"
#include "daemons/sandbox-device-plugin/tenancy.h"
#include "daemons/sandbox-device-plugin/wakeup.h"
#include "daemons/sandbox-device-plugin/withdrawal.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/aer.h"

namespace gpuhost::sandbox_device_plugin {

// Keeps four things equal to what is on vfio-pci: the CDI files, the lists that the servers give,
// the registrations with the kubelet of now, and the status document.
class Plugin {
 public:
  // `fs` is also read by threads of gRPC. `watch` is kept on the directory of the sockets.
  Plugin(HostFs& fs, Clock& clock, service::DirectoryWatch& watch, const Options& options);
  // Ends the servers and removes their sockets. CDI files stay, for pods that are starting.
  ~Plugin();

  // One pass, the same at start as after any change. What fails is logged, and tried again by the
  // next pass; returns when that is due although nothing changes. Blocks up to 5 s for each
  // resource while the kubelet takes a registration and does not answer, up to 2 s while it does
  // not tell its pods, and up to 20 s while units are reset after their last users.
  Duration Reconcile();

  // From the next pass on nobody is given any device, for this reason; empty: they are again.
  void HoldAll(std::string reason) { held_back_ = std::move(reason); }

  // Called by Reconcile after each step that may take seconds.
  void OnProgress(std::function<void()> progress) { progress_ = std::move(progress); }

  // Asks for a pass when the kubelet begins or ends to follow a list.
  const Wakeup& wakeup() const { return wakeup_; }

  // For people: "nvidia.com/pgpu: 4 of 4 healthy, registered".
  std::string Summary() const;

  // For those who watch the node.
  struct Resource {
    std::string name;  // "nvidia.com/pgpu"
    std::vector<Listed> listed;
    bool registered = false;
    bool followed = false;
    uint64_t registrations = 0;
    Server::Counters requests;
  };
  std::vector<Resource> Resources() const;
  // Of the devices that are listed.
  std::map<pci::Bdf, pci::AerErrors> Errors() const;
  struct CdiFiles {
    uint64_t written = 0;
    uint64_t failed = 0;
  };
  const CdiFiles& cdi_files() const { return cdi_files_; }

 private:
  struct Served {
    std::vector<Listed> listed;
    std::string endpoint;
    std::shared_ptr<Grants> grants = std::make_shared<Grants>();
    std::unique_ptr<Server> server;
    std::optional<KubeletId> registered_with;
    TimePoint registered_at;
    uint64_t registrations = 0;
    Server::Counters earlier;  // of servers that are no more
  };
  using Tenants = std::vector<Tenancy::Tenant>;

  Rules MakeRules() const;
  void Observe();
  void WithdrawAll();
  void ExplainNothing();
  std::map<std::string, Problem> FindProblems();
  Tenants MakeTenants() const;
  bool Keep(const std::string& resource, const Unit& unit) const;
  // These tell whether all went well; where not, they have added to `problems_`.
  bool OfferAll();
  bool Offer(const sandbox_device_plugin::Resource& resource,
             const std::map<std::string, Problem>& problems, Served& served);
  bool RegisterAll();
  bool RegisterOne(const std::string& name, const std::string& kubelet_socket, Served& served);
  // Makes the server run, on a socket that is there.
  absl::Status Serve(const std::string& name, Served& served);
  void Show(const std::string& name, std::vector<Listed> listed, Served& served);
  // Asks who has what, and tells the other daemons when there is something new.
  void Report();
  // Has the kubelet say more where what it said leaves pods of the checkpoint open.
  void Confirm();
  std::set<std::pair<std::string, std::string>> JustAllocated() const;
  bool IsRegistered(const Served& served) const;
  std::string SocketDirectory() const;
  // Has another pass after `wait` at the latest.
  void Soon(Duration wait) { next_ = std::min(next_, wait); }

  HostFs& fs_;
  Clock& clock_;
  service::DirectoryWatch& watch_;
  const Options options_;
  Wakeup wakeup_;
  std::optional<Observation> seen_;  // the newest
  Observer observer_;
  WithdrawalReader cc_manager_;
  Withdrawal withdrawal_;  // as seen by the last pass
  std::string held_back_;
  Pods pods_;
  Tenancy tenancy_;
  std::map<std::string, Served> served_;  // by name of the resource; never shrinks
  std::optional<KubeletId> kubelet_;      // as seen by the last pass
  std::optional<service::StatusDocument> reported_;
  CdiFiles cdi_files_;
  Problems problems_;
  Backoff backoff_;
  Backoff asking_;      // while pod-resources is asked too often
  Backoff confirming_;  // while the checkpoint has pods that the kubelet does not tell of
  TimePoint confirmed_at_{};
  Duration confirm_after_{};
  std::function<void()> progress_ = [] {};
  Duration next_{};
};

}  // namespace gpuhost::sandbox_device_plugin
