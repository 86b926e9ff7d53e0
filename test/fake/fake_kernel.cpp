// SPDX-License-Identifier: Apache-2.0
#include "test/fake/fake_kernel.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "libgpuhost/base/status.h"
#include "test/vgpu/virtual_gpu.h"

namespace gpuhost::fake {
namespace {

constexpr std::string_view kDevices = "/sys/bus/pci/devices/";
constexpr std::string_view kDrivers = "/sys/bus/pci/drivers/";

// "/sys/bus/pci/devices/0000:01:00.0/reset" is split into bdf and attribute.
std::pair<std::string, std::string> Split(std::string_view path, std::string_view prefix) {
  const std::string rest(path.substr(prefix.size()));
  const size_t slash = rest.find('/');
  return {rest.substr(0, slash), slash == std::string::npos ? "" : rest.substr(slash + 1)};
}

std::string WithoutNewline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

void FakeKernel::Add(const Function& function) {
  const std::string path = std::string(kDevices) + function.bdf;
  const auto attribute = [&](const std::string& name, const std::string& text) {
    root_.File(path + "/" + name, text + "\n");
  };
  attribute("vendor", fmt::format("{:#06x}", function.vendor));
  attribute("device", fmt::format("{:#06x}", function.device));
  attribute("class", fmt::format("{:#08x}", function.class_code));
  attribute("subsystem_vendor", fmt::format("{:#06x}", function.vendor));
  attribute("subsystem_device", fmt::format("{:#06x}", function.subsystem));
  attribute("numa_node", "0");
  attribute("driver_override", "(null)");
  attribute("enable", "0");
  attribute("reset", "");
  attribute("reset_method", "flr bus");
  attribute("power_state", "D0");
  attribute("power/control", "on");
  // kthreadd, by which the first PID namespace is known.
  root_.File("/proc/2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7\n");
  root_.Directory("/proc/2/fd");
  root_.Directory("/sys/kernel/iommu_groups");
  if (function.iommu_group >= 0) {
    const std::string group = fmt::format("/sys/kernel/iommu_groups/{}", function.iommu_group);
    root_.Link(group + "/devices/" + function.bdf, "../../../../bus/pci/devices/" + function.bdf);
    root_.Link(path + "/iommu_group", "../../../.." + group.substr(4));
  }
  attribute("modalias", fmt::format("pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}",
                                    function.vendor, function.device, function.vendor,
                                    function.subsystem, function.class_code >> 16,
                                    function.class_code >> 8 & 0xff, function.class_code & 0xff));
  attribute("d3cold_allowed", "1");
  root_.File("/sys/bus/pci/drivers_probe", "");
  root_.Directory("/sys/module/vfio_iommu_type1");
  root_.Directory("/sys/module/iommufd");
  AddDriver("vfio-pci");
  if (!function.driver.empty()) {
    AddDriver(function.driver);
    root_.Link(path + "/driver", "../../drivers/" + function.driver);
  }
  if (function.driver == "vfio-pci") AddNode(fmt::format("{}", function.iommu_group));
  if (function.gpu != nullptr) gpus_[function.bdf] = function.gpu;
}

void FakeKernel::AddNode(const std::string& group) {
  root_.File("/dev/vfio/" + group, "");
  const std::string attribute = "/sys/class/vfio/" + group + "/dev";
  if (!root_.Exists(attribute)) root_.File(attribute, "511:" + group + "\n");
}

void FakeKernel::HoldOpen(int pid, const std::string& command, const std::string& attribute) {
  constexpr std::array<std::pair<const char*, const char*>, 5> kNodes = {{{"/dev/null", "1:3"},
                                                                          {"/dev/zero", "1:5"},
                                                                          {"/dev/full", "1:7"},
                                                                          {"/dev/random", "1:8"},
                                                                          {"/dev/urandom", "1:9"}}};
  const auto known = std::ranges::find(held_, attribute);
  const auto index = static_cast<size_t>(known - held_.begin());
  if (known == held_.end()) held_.push_back(attribute);
  const auto& [node, number] = kNodes[index % kNodes.size()];
  root_.File(attribute, std::string(number) + "\n");
  Link(pid, command, node);
}

void FakeKernel::HoldNvidia(int pid, const std::string& command, const std::string& bdf) {
  root_.File("/proc/devices", "Character devices:\n  1 mem\n  1 nvidia\n");
  root_.File("/proc/driver/nvidia/gpus/" + bdf + "/information", "Device Minor: \t 3\n");
  Link(pid, command, "/dev/null");
}

void FakeKernel::AddUnbindLock(const std::string& bdf, bool in_use) {
  const std::string path = "/proc/driver/nvidia/gpus/" + bdf + "/unbindLock";
  root_.File(path, "0\n");
  used_in_kernel_ = in_use ? path : "";
}

void FakeKernel::Link(int pid, const std::string& command, const std::string& target) {
  const std::string directory = fmt::format("/proc/{}", pid);
  root_.File(directory + "/comm", command + "\n");
  int descriptor = 3;
  while (root_.Exists(fmt::format("{}/fd/{}", directory, descriptor))) ++descriptor;
  root_.Link(fmt::format("{}/fd/{}", directory, descriptor), target);
}

void FakeKernel::AddDriver(const std::string& name) {
  for (const char* attribute : {"/bind", "/unbind"}) {
    root_.File(std::string(kDrivers) + name + attribute, "");
  }
}

void FakeKernel::AddModule(const std::string& name, const std::string& driver) {
  AddDriver(driver);
  root_.Link("/sys/module/" + name + "/drivers/pci:" + driver,
             "../../../bus/pci/drivers/" + driver);
}

void FakeKernel::FailWrite(const std::string& suffix, absl::Status status) {
  failures_[suffix] = std::move(status);
}

std::vector<std::string> FakeKernel::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

absl::Status FakeKernel::Write(std::string_view path, std::string_view text) {
  return Do(Duration::max(), path, text);
}

absl::Status FakeKernel::WriteWithin(Duration limit, std::string_view path, std::string_view text) {
  return Do(limit, path, text);
}

absl::Status FakeKernel::Do(Duration limit, std::string_view path, std::string_view text) {
  const std::string p(path);
  if (fails_ && fails_(p)) return absl::CancelledError("write " + p);
  if (hook_) hook_(p);
  {
    const std::lock_guard lock(mutex_);
    writes_.push_back(fmt::format("{} := {}", path, WithoutNewline(std::string(text))));
    for (auto failure = failures_.begin(); failure != failures_.end(); ++failure) {
      if (!p.ends_with(failure->first)) continue;
      const absl::Status status = failure->second;
      failures_.erase(failure);
      if (absl::IsDeadlineExceeded(status)) left_.push_back(writes_.back());
      return Annotate(status, fmt::format("write '{}' to {}", text, path));
    }
  }
  if (!root_.Exists(path)) return ErrnoStatus(ENOENT, fmt::format("write '{}' to {}", text, path));
  return Annotate(React(limit, p, WithoutNewline(std::string(text))),
                  fmt::format("write '{}' to {}", text, path));
}

bool FakeKernel::IsLeftBehind(std::string_view name) const {
  return std::ranges::any_of(
      left_, [&](const std::string& write) { return write.find(name) != std::string::npos; });
}

bool FakeKernel::Hangs(std::string_view path) const {
  if (!path.starts_with(kDevices)) return false;
  const auto [bdf, attribute] = Split(path, kDevices);
  const auto locked = locked_.find(bdf);
  if (locked == locked_.end()) return false;
  const bool configuration = attribute == "config" || attribute == "vpd";
  return attribute == "driver_override" || attribute == "sriov_numvfs" ||
         (configuration && locked->second);
}

absl::Status FakeKernel::Hang(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  hangs_.emplace_back(path);
  return absl::DeadlineExceededError("this read would not have returned");
}

std::vector<std::string> FakeKernel::hangs() const {
  const std::lock_guard lock(mutex_);
  return hangs_;
}

absl::StatusOr<std::string> FakeKernel::Read(std::string_view path) const {
  return Hangs(path) ? Hang(path) : HostFs::Read(path);
}

absl::StatusOr<std::string> FakeKernel::ReadWithin(Duration, std::string_view path) const {
  if (Hangs(path)) return absl::DeadlineExceededError("locked");
  return ReadAttribute(path);
}

absl::StatusOr<std::string> FakeKernel::ReadAtWithin(Duration, std::string_view path, off_t offset,
                                                     size_t count) const {
  if (Hangs(path)) return absl::DeadlineExceededError("locked");
  return ReadAt(path, offset, count);
}

absl::Status FakeKernel::React(Duration limit, const std::string& path, const std::string& text) {
  if (path.starts_with(kDrivers)) {
    const auto [driver, attribute] = Split(path, kDrivers);
    return attribute == "bind" ? Bind(driver, text) : Unbind(driver, text);
  }
  if (path == "/sys/bus/pci/drivers_probe") {
    return native_.empty() ? absl::OkStatus() : Bind(native_, text);
  }
  if (path.starts_with(kDevices) && path.ends_with("/reset")) {
    return Reset(limit, path);
  }
  if (path == used_in_kernel_) return absl::OkStatus();
  root_.File(path, (path.ends_with("/driver_override") && text.empty() ? "(null)" : text) + "\n");
  return absl::OkStatus();
}

// Source: pci_reset_function() of the kernel. A device that sleeps and wakes (pm) keeps its state.
absl::Status FakeKernel::Reset(Duration limit, const std::string& path) {
  vgpu::VirtualGpu* gpu = GpuOf(path);
  const std::string methods = WithoutNewline(root_.Content(path + "_method"));
  if (gpu == nullptr || methods.empty()) return ErrnoStatus(ENOTTY, "no reset");
  if (methods.starts_with("pm")) return absl::OkStatus();
  return gpu->FunctionLevelReset(limit, /*others=*/methods != "flr");
}

absl::Status FakeKernel::Bind(const std::string& driver, const std::string& bdf) {
  const std::string path = std::string(kDevices) + bdf;
  if (!root_.Exists(path)) return ErrnoStatus(ENODEV, "bind");
  if (root_.Exists(path + "/driver")) return ErrnoStatus(EBUSY, "bind");
  const std::string wanted = WithoutNewline(root_.Content(path + "/driver_override"));
  const bool native = wanted == "(null)" && !pci::IsVfioDriver(driver);
  if (wanted != driver && !native) return ErrnoStatus(ENODEV, "bind");
  if (pci::IsVfioDriver(driver)) {
    const auto group = LinkName(path + "/iommu_group");
    if (!group.ok()) return ErrnoStatus(EINVAL, "bind");
    AddNode(*group);
    root_.File(path + "/power/control", "auto\n");
  }
  root_.Link(path + "/driver", "../../drivers/" + driver);
  return absl::OkStatus();
}

absl::Status FakeKernel::Unbind(const std::string& driver, const std::string& bdf) {
  const std::string link = std::string(kDevices) + bdf + "/driver";
  if (LinkName(link).value_or("") != driver) return ErrnoStatus(ENODEV, "unbind");
  root_.Remove(link);
  return absl::OkStatus();
}

vgpu::VirtualGpu* FakeKernel::GpuOf(std::string_view path) const {
  const auto found = gpus_.find(Split(path, kDevices).first);
  return found == gpus_.end() ? nullptr : found->second;
}

absl::StatusOr<std::string> FakeKernel::ReadAt(std::string_view path, off_t offset,
                                               size_t count) const {
  if (Hangs(path)) return Hang(path);
  vgpu::VirtualGpu* gpu = GpuOf(path);
  if (gpu == nullptr) return HostFs::ReadAt(path, offset, count);
  const uint32_t value =
      gpu->ReadConfig(static_cast<uint32_t>(offset), static_cast<uint32_t>(count));
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

absl::Status FakeKernel::WriteAt(std::string_view path, off_t offset, std::string_view bytes) {
  vgpu::VirtualGpu* gpu = GpuOf(path);
  if (gpu == nullptr) return HostFs::WriteAt(path, offset, bytes);
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("write config");
  if (hook_) hook_(std::string(path));
  uint32_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  gpu->WriteConfig(static_cast<uint32_t>(offset), static_cast<uint32_t>(bytes.size()), value);
  return absl::OkStatus();
}

absl::Status FakeKernel::WriteFileAtomic(std::string_view path, std::string_view bytes,
                                         mode_t mode) {
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("write a file");
  return HostFs::WriteFileAtomic(path, bytes, mode);
}

absl::Status FakeKernel::Remove(std::string_view path) {
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("remove a file");
  return HostFs::Remove(path);
}

absl::Status FakeKernel::Rename(std::string_view from, std::string_view to) {
  if (fails_ && fails_(std::string(to))) return absl::CancelledError("rename");
  return HostFs::Rename(from, to);
}

absl::Status FakeKernel::ReplaceLink(std::string_view path, std::string_view target) {
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("replace a link");
  return HostFs::ReplaceLink(path, target);
}

absl::Status FakeKernel::HardLink(std::string_view file, std::string_view path) {
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("link a file");
  return HostFs::HardLink(file, path);
}

absl::Status FakeKernel::RemoveTree(std::string_view path) {
  if (fails_ && fails_(std::string(path))) return absl::CancelledError("remove a tree");
  return HostFs::RemoveTree(path);
}

}  // namespace gpuhost::fake
