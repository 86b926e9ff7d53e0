// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/reporter.h"

#include <algorithm>

#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

using service::Level;
using service::Log;

std::string DriverNow(const HostFs& fs, const pci::Bdf& bdf) {
  return fs.LinkName(pci::SysfsPath(bdf, "driver")).value_or("");
}

// The driver that a lead had when the pass was planned.
std::string DriverBefore(const vfio::Unit& unit, const pci::Bdf& bdf) {
  const auto found = std::ranges::find(unit.functions, bdf, &pci::Device::bdf);
  return found == unit.functions.end() ? "" : found->driver.value_or("");
}

}  // namespace

bool AllBound(const absl::StatusOr<std::vector<UnitOutcome>>& pass) {
  return pass.ok() && !pass->empty() && std::ranges::all_of(*pass, [](const UnitOutcome& outcome) {
           return outcome.status.ok() && outcome.unit.note.empty();
         });
}

absl::Status WriteValidationFiles(HostFs& fs, const std::string& directory, bool ready) {
  if (directory.empty()) return absl::OkStatus();
  const std::string ready_file = directory + "/vfio-pci-ready";
  const auto ensure = [&](const std::string& path, std::string_view text) -> absl::Status {
    const auto there = fs.Read(path);
    if (there.ok() && *there == text) return absl::OkStatus();
    GPUHOST_TRY(fs.MakeDirectories(directory));
    return fs.WriteFileAtomic(path, text, 0644);
  };
  GPUHOST_TRY(ensure(directory + "/workload-type", "vm-passthrough\n"));
  return ready ? ensure(ready_file, "") : fs.Remove(ready_file);
}

bool Reporter::IsPublished(const service::StatusDocument& document) const {
  auto there = service::ReadStatusDocument(fs_, document.daemon);
  if (!there.ok()) return false;
  there->generation = document.generation;
  return *there == document;
}

void Reporter::Tell(const std::string& bdf, const Line& now, const std::string& planned_from) {
  const auto before = last_.find(bdf);
  const bool was_bound = before != last_.end() && pci::IsVfioDriver(before->second.driver);
  if (was_bound && !pci::IsVfioDriver(planned_from)) {
    Log(Level::kWarning, "lost its VFIO driver",
        {{"bdf", bdf}, {"to", planned_from.empty() ? "none" : planned_from}});
  } else if (before != last_.end() && before->second == now) {
    return;
  }
  if (!now.error.empty()) {
    Log(Level::kError, "not bound", {{"bdf", bdf}, {"driver", now.driver}, {"error", now.error}});
  } else if (pci::IsVfioDriver(now.driver)) {
    Log(Level::kInfo, "bound", {{"bdf", bdf}, {"driver", now.driver}});
  } else {
    Log(Level::kInfo, "left alone, as it was unbound on request",
        {{"bdf", bdf}, {"driver", now.driver}});
  }
}

void Reporter::Report(const absl::StatusOr<std::vector<UnitOutcome>>& pass) {
  std::map<std::string, Line> now;
  if (!pass.ok() && (first_ || last_[""].error != Text(pass.status()))) {
    Log(Level::kError, "no pass", {{"error", pass.status()}});
  }
  if (!pass.ok()) now[""].error = Text(pass.status());
  service::StatusDocument document{
      .daemon = "vfio-manager", .phase = "steady", .reason = Text(pass.status())};
  for (const auto& [unit, status] : pass.value_or(std::vector<UnitOutcome>())) {
    for (const pci::Bdf& bdf : unit.leads) {
      const std::string name = bdf.ToString();
      now[name] = {DriverNow(fs_, bdf), Text(status)};
      const std::string before = unit.note.empty() ? DriverBefore(unit, bdf) : now[name].driver;
      Tell(name, now[name], before);
      document.devices.push_back(
          {.bdf = name, .state = now[name].driver, .error = now[name].error});
    }
  }
  for (const auto& [name, line] : last_) {
    if (!name.empty() && !now.contains(name)) Log(Level::kWarning, "is gone", {{"bdf", name}});
  }
  const bool news = first_ || now != last_;
  last_ = std::move(now);
  first_ = false;
  const absl::Status published =
      news || !IsPublished(document) ? service::Publish(fs_, document) : absl::OkStatus();
  const absl::Status files = WriteValidationFiles(fs_, validation_files_, AllBound(pass));
  const std::string unwritten = Text(published) + Text(files);
  if (unwritten == unwritten_) return;
  unwritten_ = unwritten;
  if (!published.ok()) Log(Level::kWarning, "status not published", {{"error", published}});
  if (!files.ok()) Log(Level::kWarning, "validation files not written", {{"error", files}});
}

}  // namespace gpuhost::vfio_manager
