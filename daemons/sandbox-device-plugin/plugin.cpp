// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/plugin.h"

#include <algorithm>
#include <random>

#include "daemons/sandbox-device-plugin/cdi.h"
#include "daemons/sandbox-device-plugin/endpoint.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;

constexpr Duration kRescan = std::chrono::minutes(1);          // in case an event was lost
constexpr Duration kWithdrawalPoll = std::chrono::seconds(2);  // do users go, does cc-manager live
constexpr Duration kPodsLimit = std::chrono::seconds(2);
constexpr Duration kRegisterLimit = std::chrono::seconds(5);  // the kubelet calls back meanwhile

std::string FullName(std::string_view name) { return fmt::format("{}/{}", kVendor, name); }

template <typename Range>
std::string Joined(const Range& range) {
  return fmt::format("{}", fmt::join(range, ","));
}

void LogChanges(const std::string& resource, const std::vector<Listed>& before,
                const std::vector<Listed>& after) {
  for (const Listed& now : after) {
    const auto earlier = std::ranges::find(
        before, now.unit.id, [](const Listed& listed) -> const auto& { return listed.unit.id; });
    if (earlier != before.end() && *earlier == now) continue;
    if (now.healthy()) {
      service::Log(Level::kInfo, "offered",
                   {{"resource", resource},
                    {"id", now.unit.id},
                    {"devices", Joined(now.unit.bdfs)},
                    {"nodes", Joined(now.unit.nodes)}});
      continue;
    }
    const bool was_offered = earlier != before.end() && earlier->healthy();
    service::Log(Level::kWarning, was_offered ? "withdrawn" : "not offered",
                 {{"resource", resource},
                  {"id", now.unit.id},
                  {"devices", Joined(now.unit.bdfs)},
                  {"reason", now.problem}});
  }
}

}  // namespace

Plugin::Plugin(HostFs& fs, Clock& clock, service::DirectoryWatch& watch, const Options& options)
    : fs_(fs), clock_(clock), watch_(watch), options_(options) {}

Duration Plugin::Reconcile() {
  absl::Status watching = fs_.MakeDirectories(options_.kubelet_dir);
  if (watching.ok()) watching = watch_.Watch(fs_.Resolve(options_.kubelet_dir));
  problems_.Add("cannot see the kubelet come", options_.kubelet_dir, watching);

  withdrawal_ = cc_manager_.Read(fs_, clock_.Now());
  if (auto seen = Observe()) inventory_ = *std::move(seen);
  const bool offered = !inventory_ || OfferAll(inventory_->resources);
  const bool registered = RegisterAll();
  Report();  // after the lists, so that nobody is given a device after its users were counted
  problems_.Report();
  const Duration next = withdrawal_.transition.empty() ? kRescan : kWithdrawalPoll;
  if (!watching.ok() || !offered || !registered) return std::min(backoff_.Next(), next);
  backoff_.Reset();
  return next;
}

std::optional<Inventory> Plugin::Observe() {
  const auto devices = pci::ScanNvidia(fs_);
  problems_.Add("no scan", "PCI devices", devices.status());
  if (!devices.ok()) return std::nullopt;
  const bool any = std::ranges::any_of(
      *devices, [](const pci::Device& d) { return IsOffered(d) && d.BoundToVfio(); });
  const Backend here = BackendOf(fs_);
  if (any && !backend_) backend_ = here;
  if (backend_ && *backend_ != here) {
    problems_.Add(Level::kWarning, "nodes of another kind", "devices",
                  "iommufd came or went since the first device was offered; restart this program "
                  "when no virtual machine has a GPU");
  }
  Inventory inventory = BuildInventory(*devices, options_.naming, backend_.value_or(here));
  for (const LeftOut& left_out : inventory.left_out) {
    problems_.Add(Level::kWarning, "left out", left_out.bdf.ToString(), left_out.reason);
  }
  if (!any) ExplainNothing(*devices);
  return inventory;
}

void Plugin::ExplainNothing(const std::vector<pci::Device>& devices) {
  const auto count = std::ranges::count_if(devices, IsOffered);
  std::string reason = "there is no NVIDIA GPU; waiting for one";
  if (count > 0 && !pci::HasIommu(fs_)) {
    reason =
        "there is no IOMMU: switch it on in the firmware (VT-d, AMD-Vi) and with intel_iommu=on or "
        "amd_iommu=on on the kernel command line";
  } else if (count > 0) {
    reason = fmt::format("none of {} is on vfio-pci; run vfio-manage bind --all", count);
  }
  problems_.Add(Level::kWarning, "nothing to offer", "devices", std::move(reason));
}

bool Plugin::OfferAll(const std::vector<Resource>& resources) {
  for (const Resource& resource : resources) served_.try_emplace(resource.name);
  bool fine = true;
  for (auto& [name, served] : served_) {
    const auto found = std::ranges::find(resources, name, &Resource::name);
    fine &= Offer(found == resources.end() ? Resource{name, {}} : *found, served);
  }
  const absl::Status removed = RemoveStaleCdi(fs_, options_.cdi_dir, resources);
  problems_.Add("stale CDI files not removed", options_.cdi_dir, removed);
  return fine && removed.ok();
}

bool Plugin::Offer(const Resource& resource, Served& served) {
  const std::string full_name = FullName(resource.name);
  std::vector<Listed> listed = Relist(served.listed, resource.units);
  Withhold(listed, withdrawal_.devices, "mode change in progress");
  // The file comes before the list, so that whatever is allocated can be resolved.
  const absl::Status written = WriteCdi(fs_, options_.cdi_dir, resource);
  problems_.Add("CDI file not written", full_name, written);
  if (!written.ok()) HoldBack(listed, served.listed, "is in no CDI file");

  if (listed != served.listed) {
    LogChanges(full_name, served.listed, listed);
    served.listed = std::move(listed);
    if (served.server) served.server->Publish(served.listed);
  }
  const absl::Status serving = Serve(resource.name, served);
  problems_.Add("not serving", full_name, serving);
  return written.ok() && serving.ok();
}

absl::Status Plugin::Serve(const std::string& name, Served& served) {
  const std::string& directory = options_.kubelet_dir;
  // A kubelet that starts removes all sockets; behind one that is gone nobody reaches the server.
  if (served.server && fs_.Exists(fmt::format("{}/{}", directory, served.endpoint))) {
    return absl::OkStatus();
  }
  served.server.reset();
  served.registered_with.reset();
  const std::string where = fs_.Resolve(directory);
  GPUHOST_ASSIGN(served.endpoint, EndpointName(where, name, std::random_device()()));
  const FindDevice find = [this](const pci::Bdf& bdf) { return pci::ReadDevice(fs_, bdf); };
  GPUHOST_ASSIGN(served.server,
                 Server::Start(FullName(name), fmt::format("{}/{}", where, served.endpoint), find));
  served.server->Publish(served.listed);
  return absl::OkStatus();
}

bool Plugin::RegisterAll() {
  const std::string socket = fs_.Resolve(options_.kubelet_dir + "/kubelet.sock");
  const std::optional<KubeletId> kubelet = FindKubelet(socket);
  if (kubelet != kubelet_) backoff_.Reset();
  kubelet_ = kubelet;
  bool fine = true;
  for (auto& [name, served] : served_) {
    if (!served.server || (kubelet && served.registered_with == kubelet)) continue;
    if (!kubelet) {
      problems_.Add(Level::kWarning, "waiting for the kubelet", socket,
                    "no socket is there; is the kubelet running, and is this its directory");
      continue;
    }
    const absl::Status status = Register(socket, served.endpoint, FullName(name), kRegisterLimit);
    problems_.Add("not registered", FullName(name), status);
    fine = fine && status.ok();
    if (!status.ok()) continue;
    served.registered_with = kubelet;
    service::Log(Level::kInfo, "registered with the kubelet",
                 {{"resource", FullName(name)}, {"endpoint", served.endpoint}});
  }
  return fine;
}

void Plugin::Report() {
  std::map<std::string, std::vector<Listed>> listed;
  for (const auto& [name, served] : served_) listed[FullName(name)] = served.listed;
  const auto assignments = ListAssignments(fs_.Resolve(options_.pod_resources_socket), kPodsLimit);
  service::StatusDocument report = MakeReport(listed, assignments, withdrawal_.transition);
  if (reported_ == report) return;
  const absl::Status published = service::Publish(fs_, report);
  problems_.Add("status document not published", "/run/nvidia/gpuhost", published);
  if (published.ok()) reported_ = std::move(report);
}

std::string Plugin::Summary() const {
  if (served_.empty()) return "nothing to offer";
  std::string text;
  for (const auto& [name, served] : served_) {
    const auto healthy = std::ranges::count_if(served.listed, &Listed::healthy);
    const bool registered = kubelet_ && served.registered_with == kubelet_;
    text +=
        fmt::format("{}{}: {} of {} healthy, {}", text.empty() ? "" : "; ", FullName(name), healthy,
                    served.listed.size(), registered ? "registered" : "waiting for the kubelet");
  }
  return text;
}

}  // namespace gpuhost::sandbox_device_plugin
