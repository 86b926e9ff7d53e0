// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/execute.h"

#include <unistd.h>

#include <cerrno>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr Duration kLockLimit = std::chrono::seconds(70);  // above a reset's deadline
constexpr Duration kWriteLimit = std::chrono::seconds(20);
constexpr Duration kVerifyLimit = std::chrono::seconds(1);
constexpr Duration kVerifyPoll = std::chrono::milliseconds(5);

// A device may lack power/control; then it does not sleep either.
bool IsOptional(const Step& step) { return step.action == Action::kStayAwake; }

absl::Status Preflight(const HostFs& fs, std::span<const Step> steps) {
  for (const Step& step : steps) {
    if (IsOptional(step)) continue;
    if (::access(fs.Resolve(step.Path()).c_str(), W_OK) != 0) {
      return Annotate(ErrnoStatus(errno, ToString(step)), "nothing changed");
    }
  }
  return absl::OkStatus();
}

// Whether the driver link is as it must be after `step`.
absl::Status Verify(const HostFs& fs, Clock& clock, const Step& step) {
  if (step.action != Action::kBind && step.action != Action::kUnbind) return absl::OkStatus();
  const std::string link = pci::SysfsPath(step.bdf, "driver");
  const std::string wanted = step.action == Action::kBind ? step.driver : "";
  const absl::Status seen =
      PollUntil(clock, kVerifyLimit, kVerifyPoll,
                [&]() -> absl::StatusOr<bool> { return fs.LinkName(link).value_or("") == wanted; });
  if (seen.ok()) return seen;
  return Error(absl::StatusCode::kInternal, "{}: the driver is '{}' afterwards", ToString(step),
               fs.LinkName(link).value_or("none"));
}

// Best effort back to the earlier override and driver; tells in words how far it came.
std::string GiveBack(HostFs& fs, const pci::Device& device) {
  const auto write = [&](const std::string& path, const std::string& text) {
    return fs.WriteWithin(kWriteLimit, path, text).ok();
  };
  if (device.driver_override) {
    write(device.SysfsPath("driver_override"), *device.driver_override + "\n");
  }
  const std::string now = fs.LinkName(device.SysfsPath("driver")).value_or("");
  const std::string before = device.driver.value_or("");
  if (now == before) return "given back as it was";
  if (!now.empty())
    write(fmt::format("/sys/bus/pci/drivers/{}/unbind", now), device.bdf.ToString());
  if (!before.empty()) {
    write(fmt::format("/sys/bus/pci/drivers/{}/bind", before), device.bdf.ToString());
  }
  const std::string after = fs.LinkName(device.SysfsPath("driver")).value_or("");
  if (after == before)
    return before.empty() ? "given back without driver, as it was"
                          : fmt::format("given back to {}", before);
  return fmt::format("it could not be given back to {}; bind it by hand", before);
}

}  // namespace

absl::Status Execute(HostFs& fs, Clock& clock, const pci::Device& device,
                     std::span<const Step> steps) {
  if (steps.empty()) return absl::OkStatus();
  GPUHOST_ASSIGN(const FileLock lock,
                 FileLock::Acquire(fs, clock, device.bdf.ToString(), kLockLimit));
  GPUHOST_TRY(Preflight(fs, steps));

  for (const Step& step : steps) {
    if (IsOptional(step) && !fs.Exists(step.Path())) continue;
    absl::Status status = fs.WriteWithin(kWriteLimit, step.Path(), step.Text());
    if (absl::IsDeadlineExceeded(status)) return status;
    if (status.ok()) status = Verify(fs, clock, step);
    if (status.ok()) continue;
    return Error(status.code(), "{}; {}", Text(status), GiveBack(fs, device));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::vfio
