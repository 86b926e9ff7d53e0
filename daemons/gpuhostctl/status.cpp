// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/status.h"

#include <map>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/knobs.h"
#include "libgpuhost/cc/observe.h"
#include "libgpuhost/gpu/session.h"
#include "libgpuhost/pci/names.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::gpuhostctl {
namespace {

std::string VfioNode(const HostFs& fs, const pci::Device& device) {
  if (!device.BoundToVfio() || !device.iommu_group) return "";
  if (device.vfio_cdev) return fmt::format("/dev/vfio/devices/vfio{}", *device.vfio_cdev);
  const std::string node = fmt::format("/dev/vfio/{}", *device.iommu_group);
  return fs.Exists(node) ? node : "";
}

// What cc-manager last knew of the next reset, by address.
std::map<std::string, std::string> KnownPending(const HostFs& fs) {
  std::map<std::string, std::string> pending;
  const auto document = service::ReadStatusDocument(fs, "cc-manager");
  if (!document.ok()) return pending;
  for (const service::DeviceStatus& device : document->devices) {
    pending[device.bdf] = device.pending;
  }
  return pending;
}

cc::Observation BeingChanged(const pci::Device& device, const std::string& by) {
  cc::Observation seen{.device = device, .chip = gpu::FindChip(device)};
  seen.state = Error(absl::StatusCode::kUnavailable, "{} is changing it", by);
  return seen;
}

void AddNote(Row& row, const std::string& text) {
  row.note += (row.note.empty() ? "" : "; ") + text;
}

absl::StatusOr<std::string> AskPending(const gpu::Host& host, const cc::Observation& seen,
                                       bool users_known) {
  if (!seen.in_use_by.empty()) return absl::FailedPreconditionError("in use, firmware not asked");
  if (!users_known) return absl::FailedPreconditionError("firmware not asked");
  if (seen.device.driver && !seen.device.BoundToVfio()) {
    return Error(absl::StatusCode::kFailedPrecondition, "held by {}, firmware not asked",
                 *seen.device.driver);
  }
  GPUHOST_ASSIGN(const auto session, gpu::Session::Open(host, seen.device));
  GPUHOST_ASSIGN(const cc::State state, cc::ReadPending(session->firmware()));
  return std::string(cc::ToString(state));
}

Row MakeRow(const HostFs& fs, const cc::Observation& seen) {
  const pci::Device& device = seen.device;
  Row row{.bdf = device.bdf.ToString(),
          .kind = device.kind() == pci::Kind::kGpu ? "gpu" : "nvswitch",
          .model = pci::ModelName(device.device),
          .driver = device.driver.value_or(""),
          .iommu_group = device.iommu_group,
          .vfio_node = VfioNode(fs, device),
          .in_use_by = seen.in_use_by};
  if (seen.state.ok()) {
    row.mode = cc::ToString(*seen.state);
  } else {
    row.note = Text(seen.state.status());
    row.broken =
        !cc::IsTransient(seen.state.status()) && !absl::IsUnimplemented(seen.state.status());
  }
  return row;
}

}  // namespace

absl::StatusOr<std::vector<Row>> CollectStatus(const gpu::Host& host, bool ask_firmware) {
  GPUHOST_ASSIGN(std::vector<pci::Device> devices, pci::ScanNvidia(host.fs));
  std::erase_if(devices, [](const pci::Device& device) {
    return device.kind() == pci::Kind::kCompanion || device.is_virtual_function;
  });
  if (devices.empty()) return absl::NotFoundError("no NVIDIA GPU on this machine");

  const vfio::Holders holders = vfio::FindHolders(host.fs, devices);
  const auto known_pending = KnownPending(host.fs);
  std::vector<Row> rows;
  for (const pci::Device& device : devices) {
    // Who changes it may have it in a reset, in which the kernel lets nobody read.
    const auto changed_by = FileLock::HeldBy(host.fs, device.bdf.ToString());
    cc::Observation seen =
        changed_by ? BeingChanged(device, *changed_by) : cc::Observe(host, device);
    const auto holder = holders.by_device.find(device.bdf);
    if (holder != holders.by_device.end()) seen.in_use_by = vfio::ToString(holder->second);
    Row& row = rows.emplace_back(MakeRow(host.fs, seen));
    row.users_known = holders.complete.ok() || !seen.in_use_by.empty();
    if (!row.users_known) AddNote(row, Text(holders.complete));
    if (const auto known = known_pending.find(row.bdf); known != known_pending.end()) {
      row.pending = known->second;
    }
    if (ask_firmware && !row.broken && !changed_by && seen.chip != nullptr &&
        seen.chip->layout != nullptr) {
      const auto answer = AskPending(host, seen, row.users_known);
      row.pending = answer.value_or("");
      if (!answer.ok()) AddNote(row, Text(answer.status()));
    }
  }
  return rows;
}

}  // namespace gpuhost::gpuhostctl
