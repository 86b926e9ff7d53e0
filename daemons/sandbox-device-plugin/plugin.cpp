// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/plugin.h"

#include <algorithm>

#include "daemons/sandbox-device-plugin/cdi.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using service::Level;

constexpr Duration kRescan = std::chrono::seconds(10);  // users, configuration space, lost events
constexpr Duration kPoll = std::chrono::seconds(2);     // while something is waited for
constexpr Duration kAdmission = std::chrono::seconds(10);  // from Allocate until the pod is told

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
                  {"reason", now.problem.text}});
  }
}

bool TakesAway(const std::vector<Listed>& before, const std::vector<Listed>& after) {
  return std::ranges::any_of(before, [&](const Listed& listed) {
    return listed.healthy() && std::ranges::find(after, listed) == after.end();
  });
}

// Where the kubelet has a directory for each pod, beside that of the device plugins.
std::string DirectoryOfPods(const std::string& kubelet_dir) {
  return kubelet_dir.substr(0, kubelet_dir.find_last_of('/')) + "/pods";
}

std::map<std::string, Problem> ProblemsOf(const Withdrawal& withdrawal) {
  std::map<std::string, Problem> problems;
  for (const auto& [bdf, ban] : withdrawal.devices) {
    problems[bdf] = {ban.in_change ? Reason::kModeChange : Reason::kUnusable, ban.reason};
  }
  return problems;
}

}  // namespace

Plugin::Plugin(HostFs& fs, Clock& clock, service::DirectoryWatch& watch, const Options& options)
    : fs_(fs),
      clock_(clock),
      watch_(watch),
      options_(options),
      observer_(fs, clock),
      pods_(fs, {.socket = options.pod_resources_socket,
                 .checkpoint = options.kubelet_dir + "/kubelet_internal_checkpoint",
                 .directory = DirectoryOfPods(options.kubelet_dir)}),
      tenancy_(fs, clock, options.reset_after_release) {}

Plugin::~Plugin() {
  for (auto& [name, served] : served_) {
    if (served.server && options_.empty_list_at_end) served.server->EmptyAtEnd();
  }
}

Duration Plugin::Reconcile() {
  next_ = kRescan;
  absl::Status watching = fs_.MakeDirectories(SocketDirectory());
  if (watching.ok()) watching = watch_.Watch(fs_.Resolve(SocketDirectory()));
  problems_.Add("cannot see the kubelet come", SocketDirectory(), watching);

  withdrawal_ = cc_manager_.Read(fs_, clock_.Now());
  pods_.ReadCheckpoint(clock_.Now());
  problems_.Add("checkpoint not understood", "kubelet", pods_.checkpoint_status());
  Observe();
  const bool offered = !seen_ || OfferAll();
  const bool registered = RegisterAll();
  Report();  // after the lists, so that nobody is given a device after its users were counted
  problems_.Report();
  if (!withdrawal_.transition.empty() || tenancy_.waiting()) Soon(kPoll);
  if (!watching.ok() || !offered || !registered)
    Soon(backoff_.Next());
  else
    backoff_.Reset();
  return next_;
}

Rules Plugin::MakeRules() const {
  return {.naming = options_.naming,
          .ids = options_.ids,
          .require_iommufd = options_.require_iommufd,
          .in_use = [this](const std::string& name, const std::string& id) {
            return pods_.Has(FullName(name), id);
          }};
}

void Plugin::Observe() {
  WithdrawAll();  // those of the last pass: they may be in the middle of a reset
  std::set<std::string> withdrawn;
  for (const auto& [bdf, ban] : withdrawal_.devices) withdrawn.insert(bdf);
  auto seen = observer_.Observe(MakeRules(), withdrawn);
  problems_.Add("no scan", "PCI devices", seen.status());
  if (!seen.ok()) return;
  seen_ = *std::move(seen);
  WithdrawAll();
  for (const LeftOut& left_out : seen_->inventory.left_out) {
    problems_.Add(Level::kWarning, "left out", left_out.bdf.ToString(), left_out.reason);
  }
  if (seen_->inventory.resources.empty() && seen_->inventory.left_out.empty()) ExplainNothing();
}

void Plugin::WithdrawAll() {
  const std::string& reason = held_back_.empty() ? withdrawal_.everything : held_back_;
  if (reason.empty() || !seen_) return;
  for (const pci::Device& device : seen_->devices) {
    withdrawal_.devices.try_emplace(device.bdf.ToString(), Withdrawal::Ban{reason});
  }
}

void Plugin::ExplainNothing() {
  const size_t count = seen_->devices.size();
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

std::map<std::string, Problem> Plugin::FindProblems() {
  std::map<std::string, std::vector<Unit>> units;
  for (const auto& resource : seen_->inventory.resources) {
    units[FullName(resource.name)] = resource.units;
  }
  std::map<std::string, Problem> problems = CompareCheckpoint(pods_.Standing(clock_.Now()), units);
  problems.insert(seen_->problems.begin(), seen_->problems.end());
  // While nobody knows who has what, nobody can say who may have a device open.
  problems.merge(pods_.known().ok() ? tenancy_.Examine(MakeTenants(), seen_->devices)
                                    : tenancy_.problems());
  progress_();
  return problems;
}

Plugin::Tenants Plugin::MakeTenants() const {
  Tenants tenants;
  const auto just_allocated = JustAllocated();
  for (const auto& resource : seen_->inventory.resources) {
    const std::string name = FullName(resource.name);
    const auto served = served_.find(resource.name);
    for (const Unit& unit : resource.units) {
      Tenancy::Tenant tenant{
          .unit = unit,
          .assigned = pods_.Has(name, unit.id) || just_allocated.contains({name, unit.id})};
      if (served != served_.end()) {
        tenant.withheld = std::ranges::any_of(served->second.listed, [&](const Listed& listed) {
          return listed.unit == unit && !listed.healthy();
        });
      }
      tenant.hands_off = std::ranges::any_of(unit.bdfs, [&](const pci::Bdf& bdf) {
        return withdrawal_.devices.contains(bdf.ToString());
      });
      tenants.push_back(std::move(tenant));
    }
  }
  return tenants;
}

// A unit that is away is still listed while somebody has it, or may have it, or it is on the bus.
bool Plugin::Keep(const std::string& resource, const Unit& unit) const {
  if (!pods_.known().ok() || pods_.Has(resource, unit.id)) return true;
  const auto elsewhere = [&](const pci::Bdf& bdf) {
    return std::ranges::any_of(seen_->inventory.resources, [&](const auto& other) {
      return std::ranges::any_of(other.units, [&](const Unit& one) {
        return std::ranges::find(one.bdfs, bdf) != one.bdfs.end();
      });
    });
  };
  return std::ranges::any_of(unit.bdfs, [&](const pci::Bdf& bdf) {
    const bool on_bus =
        std::ranges::find(seen_->devices, bdf, &pci::Device::bdf) != seen_->devices.end();
    return on_bus && !elsewhere(bdf);
  });
}

bool Plugin::OfferAll() {
  const std::map<std::string, Problem> problems = FindProblems();
  const auto& resources = seen_->inventory.resources;
  for (const auto& resource : resources) served_.try_emplace(resource.name);
  bool fine = true;
  for (auto& [name, served] : served_) {
    const auto found = std::ranges::find(resources, name, &sandbox_device_plugin::Resource::name);
    const bool there = found != resources.end();
    fine &= Offer(there ? *found : sandbox_device_plugin::Resource{name, {}}, problems, served);
  }
  const absl::Status removed = RemoveStaleCdi(fs_, options_.cdi_dir, resources);
  problems_.Add("stale CDI files not removed", options_.cdi_dir, removed);
  for (const std::string& complaint : FindForeignCdi(fs_, options_.cdi_dir, resources)) {
    problems_.Add(Level::kError, "CDI files of others", options_.cdi_dir, complaint);
  }
  return fine && removed.ok();
}

bool Plugin::Offer(const sandbox_device_plugin::Resource& resource,
                   const std::map<std::string, Problem>& problems, Served& served) {
  const std::string name = FullName(resource.name);
  std::vector<Listed> listed = Relist(served.listed, resource.units, problems, clock_.Now(),
                                      [&](const Unit& unit) { return Keep(name, unit); });
  Withhold(listed, ProblemsOf(withdrawal_));
  for (const Listed& one : listed) {
    if (one.problem.reason == Reason::kSettling)
      Soon(std::max(one.since + kSettleTime - clock_.Now(), Duration::zero()));
  }
  // What goes leaves the list before the file, what comes is in the file before the list: whatever
  // is allocated can be resolved.
  std::vector<Listed> without = listed;
  HoldBack(without, served.listed, {Reason::kNoCdi, "is in no CDI file"});
  if (TakesAway(served.listed, without)) Show(name, without, served);
  const absl::StatusOr<bool> written = WriteCdi(fs_, options_.cdi_dir, resource);
  problems_.Add("CDI file not written", name, written.status());
  cdi_files_.written += written.value_or(false);
  cdi_files_.failed += !written.ok();
  Show(name, written.ok() ? std::move(listed) : std::move(without), served);

  const absl::Status serving = Serve(resource.name, served);
  problems_.Add("not serving", name, serving);
  return written.ok() && serving.ok();
}

void Plugin::Show(const std::string& name, std::vector<Listed> listed, Served& served) {
  const bool same = listed == served.listed;
  if (!same) LogChanges(name, served.listed, listed);
  served.listed = std::move(listed);
  if (!same && served.server) served.server->Publish(served.listed);
}

std::set<std::pair<std::string, std::string>> Plugin::JustAllocated() const {
  std::set<std::pair<std::string, std::string>> found;
  for (const auto& [name, served] : served_) {
    for (const auto& [id, grant] : served.grants->Now()) {
      const bool admitting = grant.given && clock_.Now() - *grant.given < kAdmission &&
                             !pods_.SeenSince(FullName(name), id, *grant.given);
      if (grant.open > 0 || admitting) found.emplace(FullName(name), id);
    }
  }
  return found;
}

void Plugin::Report() {
  pods_.Ask(clock_.Now());
  // Who released something is looked after at once.
  if (pods_.known().ok() && seen_ && tenancy_.HasNews(MakeTenants())) Soon(Duration::zero());
  Confirm();
  ReportInput input{
      .pods = pods_, .just_allocated = JustAllocated(), .transition = withdrawal_.transition};
  for (const auto& [name, served] : served_) input.listed[FullName(name)] = served.listed;
  service::StatusDocument report = MakeReport(input);
  const bool there =
      fs_.Exists(fmt::format("{}/{}.json", service::kStatusDirectory, report.daemon));
  if (there && reported_ == report) return;
  const absl::Status published = service::Publish(fs_, report);
  problems_.Add("status document not published", "/run/nvidia/gpuhost", published);
  if (published.ok()) reported_ = std::move(report);
}

void Plugin::Confirm() {
  if (pods_.refused_for_now())
    Soon(asking_.Next());
  else
    asking_.Reset();
  std::set<std::string> resources;
  for (const auto& [name, served] : served_) resources.insert(FullName(name));
  if (!pods_.Unconfirmed(resources)) {
    confirming_.Reset();
    confirm_after_ = {};
    return;
  }
  const TimePoint now = clock_.Now();
  if (now - confirmed_at_ >= confirm_after_) {
    for (auto& [name, served] : served_) {
      if (served.server) served.server->Publish(served.listed);
    }
    confirmed_at_ = now;
    confirm_after_ = confirming_.Next();
  }
  Soon(confirmed_at_ + confirm_after_ - now);
}

std::string Plugin::Summary() const {
  if (served_.empty()) return "nothing to offer";
  std::string text;
  for (const auto& [name, served] : served_) {
    const auto healthy = std::ranges::count_if(served.listed, &Listed::healthy);
    text += fmt::format("{}{}: {} of {} healthy, {}", text.empty() ? "" : "; ", FullName(name),
                        healthy, served.listed.size(),
                        IsRegistered(served) ? "registered" : "waiting for the kubelet");
  }
  return text;
}

std::vector<Plugin::Resource> Plugin::Resources() const {
  std::vector<Resource> resources;
  for (const auto& [name, served] : served_) {
    Resource resource{.name = FullName(name),
                      .listed = served.listed,
                      .registered = IsRegistered(served),
                      .followed = served.server && served.server->Followed(),
                      .registrations = served.registrations,
                      .requests = served.earlier};
    if (served.server) resource.requests += served.server->counters();
    resources.push_back(std::move(resource));
  }
  return resources;
}

std::map<pci::Bdf, pci::AerErrors> Plugin::Errors() const {
  std::map<pci::Bdf, pci::AerErrors> errors;
  for (const auto& [name, served] : served_) {
    for (const Listed& listed : served.listed) {
      for (const pci::Bdf& bdf : listed.unit.bdfs) errors[bdf] = pci::ReadAerErrors(fs_, bdf);
    }
  }
  return errors;
}

}  // namespace gpuhost::sandbox_device_plugin
