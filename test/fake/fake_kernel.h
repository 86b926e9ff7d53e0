// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"
#include "test/fake/temp_root.h"

namespace gpuhost::vgpu {
class VirtualGpu;
}

namespace gpuhost::fake {

// A HostFs over a TempRoot that answers writes to PCI attributes as the kernel does:
// driver_override, bind, unbind, reset and config change the tree and the virtual GPU behind the
// device. A reset takes the first method of `reset_method`; one that needs longer than WriteWithin
// allows is not waited for.
class FakeKernel : public HostFs {
 public:
  explicit FakeKernel(TempRoot& root) : HostFs(root.path()), root_(root) {}

  // A device in sysfs, as after boot: no driver, an IOMMU group, function-level reset.
  struct Function {
    std::string bdf;
    uint16_t device = 0x2331;
    uint32_t class_code = 0x030200;
    uint16_t vendor = pci::kNvidia;
    uint16_t subsystem = 0x1626;
    int iommu_group = 1;  // negative: none
    std::string driver;   // bound to it, when not empty
    vgpu::VirtualGpu* gpu = nullptr;
  };
  void Add(const Function& function);
  void AddDriver(const std::string& name);
  // A loaded module and the PCI driver that it brings.
  void AddModule(const std::string& name, const std::string& driver);
  // Process `pid` gets open what has the number that the kernel shows in the file `attribute`
  // ("/sys/class/vfio/7/dev"); in truth a node of this machine, which is harmless. Up to five nodes
  // at once are told apart.
  void HoldOpen(int pid, const std::string& command, const std::string& attribute);
  // The same of /dev/nvidia3, as which the driver nvidia has this device.
  void HoldNvidia(int pid, const std::string& command, const std::string& bdf);
  // The driver nvidia has a lock for its unbind, and does not give it while something in the kernel
  // uses the device.
  void AddUnbindLock(const std::string& bdf, bool in_use);
  // The driver that drivers_probe chooses for a device without override; there is none at first.
  void SetNativeDriver(const std::string& name) { native_ = name; }
  // The next write to a path that ends in `suffix` fails like this.
  void FailWrite(const std::string& suffix, absl::Status status);
  // Writes for which `fails` says so fail without effect, until this is called with nothing.
  void FailWritesWhile(std::function<bool(const std::string& path)> fails) {
    fails_ = std::move(fails);
  }
  // Somebody has the function locked in the kernel, as an unbind that waits for a virtual machine,
  // or a reset: reading what is shown under the lock, and in a reset configuration space, does not
  // return before that ends.
  void Lock(const std::string& bdf, bool in_reset = false) { locked_[bdf] = in_reset; }
  void Unlock(const std::string& bdf) { locked_.erase(bdf); }
  // Reads so far that would have hung.
  std::vector<std::string> hangs() const;
  // The kernel returns from all writes that were given up.
  void ReturnFromWrites() { left_.clear(); }
  // Called before each write with its path; for crashes and for what others do meanwhile.
  void OnWrite(std::function<void(const std::string& path)> hook) { hook_ = std::move(hook); }
  // All writes so far: "path := text".
  std::vector<std::string> writes() const;

  absl::Status Write(std::string_view path, std::string_view text) override;
  absl::Status WriteWithin(Duration limit, std::string_view path, std::string_view text) override;
  bool IsLeftBehind(std::string_view name) const override;
  absl::StatusOr<std::string> Read(std::string_view path) const override;
  absl::StatusOr<std::string> ReadWithin(Duration limit, std::string_view path) const override;
  absl::StatusOr<std::string> ReadAtWithin(Duration limit, std::string_view path, off_t offset,
                                           size_t count) const override;
  absl::StatusOr<std::string> ReadAt(std::string_view path, off_t offset,
                                     size_t count) const override;
  absl::Status WriteAt(std::string_view path, off_t offset, std::string_view bytes) override;
  absl::Status WriteFileAtomic(std::string_view path, std::string_view bytes, mode_t mode) override;
  absl::Status Remove(std::string_view path) override;
  absl::Status Rename(std::string_view from, std::string_view to) override;
  absl::Status ReplaceLink(std::string_view path, std::string_view target) override;
  absl::Status HardLink(std::string_view file, std::string_view path) override;
  absl::Status RemoveTree(std::string_view path) override;

 private:
  bool Hangs(std::string_view path) const;
  absl::Status Hang(std::string_view path) const;
  absl::Status Do(Duration limit, std::string_view path, std::string_view text);
  absl::Status React(Duration limit, const std::string& path, const std::string& text);
  absl::Status Reset(Duration limit, const std::string& path);
  absl::Status Bind(const std::string& driver, const std::string& bdf);
  absl::Status Unbind(const std::string& driver, const std::string& bdf);
  vgpu::VirtualGpu* GpuOf(std::string_view path) const;

  void AddNode(const std::string& group);
  void Link(int pid, const std::string& command, const std::string& target);

  TempRoot& root_;
  std::string native_;
  std::string used_in_kernel_;     // the unbind lock that is not given
  std::vector<std::string> held_;  // attributes whose node somebody has had open
  mutable std::mutex mutex_;
  std::map<std::string, vgpu::VirtualGpu*> gpus_;
  std::map<std::string, absl::Status> failures_;
  std::vector<std::string> writes_;
  std::vector<std::string> left_;       // writes that were given up
  std::map<std::string, bool> locked_;  // by address: whether a reset has it
  mutable std::vector<std::string> hangs_;
  std::function<void(const std::string&)> hook_;
  std::function<bool(const std::string&)> fails_;
};

}  // namespace gpuhost::fake
