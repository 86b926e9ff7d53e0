// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/execute.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/steps.h"
#include "libgpuhost/vfio/unbind_lock.h"

namespace gpuhost::vfio {
namespace {

constexpr Duration kWriteLimit = std::chrono::seconds(20);
constexpr Duration kVerifyLimit = std::chrono::seconds(1);
constexpr Duration kVerifyPoll = std::chrono::milliseconds(5);

// All functions' locks, always in the same order, so that two programs never wait for each other.
absl::StatusOr<std::vector<FileLock>> LockAll(HostFs& fs, Clock& clock, const Unit& unit,
                                              Duration limit) {
  std::vector<pci::Bdf> order;
  for (const pci::Device& device : unit.functions) order.push_back(device.bdf);
  std::ranges::sort(order);
  std::vector<FileLock> locks;
  for (const pci::Bdf& bdf : order) {
    auto lock = FileLock::Acquire(fs, clock, bdf.ToString(), limit);
    if (absl::IsUnavailable(lock.status()) && fs.IsLeftBehind(bdf.ToString())) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "{}: the kernel has not returned from an earlier write; the device is stuck "
                   "until whoever uses it lets go, or the machine is restarted",
                   bdf);
    }
    GPUHOST_TRY(lock.status());
    locks.push_back(*std::move(lock));
  }
  return locks;
}

// The machine may have changed between the plan and the locks.
absl::Status LookAgain(const HostFs& fs, const Unit& unit, bool force) {
  for (const pci::Device& device : unit.functions) {
    const auto now = fs.LinkName(device.SysfsPath("driver"));
    if (!fs.Exists(device.SysfsPath())) {
      return Error(absl::StatusCode::kNotFound, "{}: is gone", device.bdf);
    }
    if (now.value_or("") == device.driver.value_or("")) continue;
    return Error(absl::StatusCode::kAborted, "{}: driver '{}' has it now; nothing changed",
                 device.bdf, now.value_or("none"));
  }
  const Holders holders = FindHolders(fs, unit.functions);
  if (!holders.by_device.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "in use by {}; end that first",
                 ToString(holders.by_device.begin()->second));
  }
  if (force || holders.complete.ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(Text(holders.complete));
}

absl::Status Preflight(const HostFs& fs, const Unit& unit) {
  for (const Step& step : unit.steps) {
    if (step.IsOptional()) continue;
    if (::access(fs.Resolve(step.Path()).c_str(), W_OK) != 0) {
      return Annotate(ErrnoStatus(errno, ToString(step)), "nothing changed");
    }
  }
  return absl::OkStatus();
}

bool HasVfioNode(const HostFs& fs, const pci::Bdf& bdf) {
  // In a container /dev may be another one; sysfs is the same everywhere.
  const std::string group = fs.LinkName(pci::SysfsPath(bdf, "iommu_group")).value_or("");
  return fs.Exists("/sys/class/vfio/" + group) || fs.Exists("/dev/vfio/" + group) ||
         fs.Exists(pci::SysfsPath(bdf, "vfio-dev"));
}

// Whether the machine is as it must be after `step`.
absl::Status Verify(const HostFs& fs, Clock& clock, const Step& step) {
  if (step.action == Action::kOverride || step.IsOptional()) return absl::OkStatus();
  const std::string link = pci::SysfsPath(step.bdf, "driver");
  const auto as_wanted = [&]() -> absl::StatusOr<bool> {
    const std::string now = fs.LinkName(link).value_or("");
    if (step.action == Action::kUnbind) return now.empty();
    if (step.action == Action::kProbe) return !pci::IsVfioDriver(now);
    return now == step.value && (!pci::IsVfioDriver(now) || HasVfioNode(fs, step.bdf));
  };
  if (PollUntil(clock, kVerifyLimit, kVerifyPoll, as_wanted).ok()) return absl::OkStatus();
  const std::string now = fs.LinkName(link).value_or("none");
  std::string found = fmt::format("the driver is '{}' afterwards", now);
  if (step.action == Action::kBind && now == step.value) {
    found = "the device has no VFIO node afterwards";
  } else if (step.action == Action::kProbe && pci::IsVfioDriver(now)) {
    found +=
        ", as it takes devices of these ids by itself: by its module's option ids= (in "
        "/etc/modprobe.d or on the kernel command line), or by its file new_id; remove the "
        "ids there, and write them to its remove_id";
  }
  return Error(absl::StatusCode::kInternal, "{}: {}", ToString(step), found);
}

// Best effort back to how `device` was; tells in words how far it came.
std::string GiveBack(HostFs& fs, const pci::Device& device) {
  const auto write = [&](const std::string& path, const std::string& text) {
    return fs.WriteWithin(kWriteLimit, path, text).ok();
  };
  const auto restore = [&](const char* attribute, const std::optional<std::string>& before) {
    if (before && fs.ReadAttribute(device.SysfsPath(attribute)).value_or(*before) != *before) {
      write(device.SysfsPath(attribute), *before);
    }
  };
  if (!fs.Exists(device.SysfsPath())) return "it is gone";
  if (device.guarded.ok() && device.guarded->driver_override) {
    write(device.SysfsPath("driver_override"), *device.guarded->driver_override + "\n");
  }
  const auto driver = [&] { return fs.LinkName(device.SysfsPath("driver")).value_or(""); };
  const std::string now = driver();
  const std::string before = device.driver.value_or("");
  if (now != before && !now.empty()) {
    write(fmt::format("/sys/bus/pci/drivers/{}/unbind", now), device.bdf.ToString());
  }
  if (now != before && !before.empty()) {
    write(fmt::format("/sys/bus/pci/drivers/{}/bind", before), device.bdf.ToString());
  }
  restore("d3cold_allowed", device.d3cold_allowed);
  restore("power/control", device.power_control);
  if (now == before) return "given back as it was";
  if (driver() != before) {
    return fmt::format("it could not be given back to {}; bind it by hand", before);
  }
  return before.empty() ? "given back without driver, as it was"
                        : fmt::format("given back to {}", before);
}

// The same for all functions that `done` has touched, the last one first: "; given back to nvidia".
std::string GiveAllBack(HostFs& fs, const Unit& unit, std::span<const Step> done) {
  std::string text;
  for (auto device = unit.functions.rbegin(); device != unit.functions.rend(); ++device) {
    if (std::ranges::find(done, device->bdf, &Step::bdf) == done.end()) continue;
    text += unit.functions.size() == 1 ? "; " : fmt::format("; {}: ", device->bdf);
    text += GiveBack(fs, *device);
  }
  return text;
}

bool MovesDevice(const Unit& unit, const pci::Bdf& bdf) {
  return std::ranges::any_of(unit.steps,
                             [&](const Step& step) { return step.bdf == bdf && Moves({step}); });
}

// Before the first write, so that a kill at any moment forgets nothing.
absl::Status Remember(HostFs& fs, const Unit& unit) {
  if (unit.goal != Goal::kVfio && unit.goal != Goal::kTaken) return absl::OkStatus();
  const auto state = unit.goal == Goal::kVfio ? Record::State::kBound : Record::State::kTaken;
  for (const pci::Device& device : unit.functions) {
    if (MovesDevice(unit, device.bdf)) {
      GPUHOST_TRY(WriteRecord(fs, device.bdf, RecordBefore(fs, device, state)));
      continue;
    }
    const bool written = std::ranges::find(unit.steps, device.bdf, &Step::bdf) != unit.steps.end();
    const auto earlier = ReadRecord(fs, device.bdf);
    const bool known = earlier.ok() && earlier->state != Record::State::kReleased &&
                       earlier->state != Record::State::kReturned;
    if (!written || known) continue;
    GPUHOST_TRY(WriteRecord(fs, device.bdf, RecordOf(device, Record::State::kAdjusted)));
  }
  return absl::OkStatus();
}

// After the last: what was unbound on request stays so.
absl::Status Release(HostFs& fs, const Unit& unit, bool forget) {
  if (unit.goal == Goal::kVfio || unit.goal == Goal::kTaken) return absl::OkStatus();
  const auto state =
      unit.goal == Goal::kDriverless ? Record::State::kReleased : Record::State::kReturned;
  for (const pci::Device& device : unit.functions) {
    // One that was only put back as something else had bound it is none of ours any more.
    const bool done = forget || !MovesDevice(unit, device.bdf);
    GPUHOST_TRY(done ? RemoveRecord(fs, device.bdf)
                     : WriteRecord(fs, device.bdf, RecordBefore(fs, device, state)));
  }
  return absl::OkStatus();
}

void Recall(HostFs& fs, const Unit& unit, const std::map<pci::Bdf, Record>& earlier) {
  for (const pci::Device& device : unit.functions) {
    const auto record = earlier.find(device.bdf);
    const absl::Status status = record == earlier.end()
                                    ? RemoveRecord(fs, device.bdf)
                                    : WriteRecord(fs, device.bdf, record->second);
    status.IgnoreError();  // the error that led here is the one to tell
  }
}

}  // namespace

absl::Status Execute(HostFs& fs, Clock& clock, const Unit& unit, const Conduct& conduct) {
  if (unit.steps.empty()) return absl::OkStatus();
  GPUHOST_ASSIGN(const auto locks, LockAll(fs, clock, unit, conduct.lock_limit));
  GPUHOST_TRY(conduct.last_look());
  UnbindLock unbind_lock(fs);
  if (Moves(unit.steps)) {
    GPUHOST_TRY(LookAgain(fs, unit, conduct.force));
    for (const pci::Device& device : unit.functions) GPUHOST_TRY(unbind_lock.Take(device));
  }
  GPUHOST_TRY(Preflight(fs, unit));
  const auto earlier = ReadRecords(fs);
  GPUHOST_TRY(Remember(fs, unit));

  for (size_t i = 0; i < unit.steps.size(); ++i) {
    const Step& step = unit.steps[i];
    if (step.IsOptional() && !fs.Exists(step.Path())) continue;
    if (step.action == Action::kBind || step.action == Action::kProbe) conduct.before_bind();
    absl::Status status = fs.WriteWithin(kWriteLimit, step.Path(), step.Text());
    if (absl::IsDeadlineExceeded(status)) return status;
    if (status.ok()) status = Verify(fs, clock, step);
    if (status.ok()) continue;
    const std::string undone = GiveAllBack(fs, unit, std::span(unit.steps).first(i + 1));
    Recall(fs, unit, earlier);
    return Error(status.code(), "{}{}", Text(status), undone);
  }
  return Release(fs, unit, conduct.forget);
}

}  // namespace gpuhost::vfio
