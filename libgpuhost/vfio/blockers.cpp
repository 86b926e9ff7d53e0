// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/blockers.h"

#include <algorithm>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/coupled.h"
#include "libgpuhost/vfio/alias.h"
#include "libgpuhost/vfio/steps.h"

namespace gpuhost::vfio {
namespace {

constexpr const char* kVariant = "nvgrace_gpu_vfio_pci";

void Block(std::vector<Blocker>& blockers, Obstacle obstacle, const pci::Bdf& bdf,
           std::string text) {
  blockers.push_back({obstacle, bdf, std::move(text)});
}

// Whether a guest would get registers without the memory.
bool LosesMemory(const Snapshot& seen, const pci::Device& device) {
  return pci::IsCoupled(device) && IsGeneric(seen.vfio_drivers.at(device.bdf).module);
}

std::string WithoutVariant(const Snapshot& seen, const pci::Device& device) {
  const std::string kernel = seen.kernel.empty() ? "this kernel" : "Linux " + seen.kernel;
  const std::string why =
      seen.aliases.ok()
          ? fmt::format("{} has no VFIO driver of its own for {:04x}:{:04x}", kernel, device.vendor,
                        device.device)
          : fmt::format("whether {} has a VFIO driver of its own for it is not known ({})", kernel,
                        Text(seen.aliases));
  return fmt::format(
      "is coupled to its CPU, and vfio-pci would hand out none of its memory; {}; install a kernel "
      "whose module {} names this id in modules.alias (Linux 6.9 and later know some ids, Debian "
      "builds no such module); vfio-manage bind --force takes vfio-pci, without memory for guests",
      why, kVariant);
}

bool Binds(const std::vector<Step>& steps, const pci::Bdf& bdf) {
  return std::ranges::any_of(
      steps, [&](const Step& step) { return step.bdf == bdf && step.action == Action::kBind; });
}

bool TakesConsole(const Snapshot& seen, const pci::Device& device, const std::vector<Step>& steps) {
  return device.boot_vga && seen.shows_console && Binds(steps, device.bdf);
}

void CheckLosses(const Snapshot& seen, const Request& request, const pci::Device& device,
                 const std::vector<Step>& steps, std::vector<Blocker>& blockers) {
  if (request.force) return;
  if (LosesMemory(seen, device)) {
    Block(blockers, Obstacle::kNoVariant, device.bdf, WithoutVariant(seen, device));
  }
  if (!request.console && TakesConsole(seen, device, steps)) {
    Block(blockers, Obstacle::kConsole, device.bdf,
          "has the machine's screen (boot_vga), which would freeze; --console takes it "
          "nevertheless");
  }
}

void CheckVfioPossible(const Snapshot& seen, const pci::Device& device,
                       std::vector<Blocker>& blockers) {
  if (!device.iommu_group) {
    Block(blockers, Obstacle::kNoIommu, device.bdf,
          "has no IOMMU group; switch the IOMMU on in the firmware and with intel_iommu=on or "
          "amd_iommu=on on the kernel command line");
    return;
  }
  const auto group = seen.groups.find(*device.iommu_group);
  if (group != seen.groups.end() && group->second.name == "vfio-noiommu") {
    Block(blockers, Obstacle::kNoIommuMode, device.bdf,
          "is in VFIO's unsafe mode without IOMMU, which protects nobody from the device; switch "
          "the IOMMU on, and enable_unsafe_noiommu_mode of module vfio off");
  }
  if (device.guarded.ok() && !device.guarded->driver_override) {
    Block(blockers, Obstacle::kNoOverride, device.bdf,
          "has no driver_override; this needs a writable /sys and Linux 3.16 or newer");
  }
  const bool moves = device.driver != seen.vfio_drivers.at(device.bdf).name;
  if (moves && device.guarded.ok() && device.guarded->virtual_functions > 0) {
    Block(blockers, Obstacle::kVfsEnabled, device.bdf,
          fmt::format("has {} virtual functions enabled, which would be lost; write 0 to its "
                      "sriov_numvfs first",
                      device.guarded->virtual_functions));
  }
}

void CheckStrangers(const Request& request, const Cluster& cluster,
                    std::vector<Blocker>& blockers) {
  for (const pci::Device& stranger : cluster.strangers) {
    if (IsViableBeside(stranger)) continue;
    const std::string_view why = stranger.kind() == pci::Kind::kForeign ? "is not NVIDIA's"
                                 : MatchesAny(request.deny, stranger)   ? "is denied"
                                                                        : "is not asked for";
    Block(blockers, Obstacle::kGroupNotViable, cluster.functions.back().bdf,
          fmt::format("its IOMMU group {} is not viable: {} ({:04x}:{:04x}), which {}, is held by "
                      "driver {}; unbind it, or separate them (another slot, ACS)",
                      stranger.iommu_group.value_or(0), stranger.bdf, stranger.vendor,
                      stranger.device, why, *stranger.driver));
  }
}

// Who has any of the unit's devices, or their groups, open.
void CheckUsers(const Snapshot& seen, const Request& request, const Cluster& cluster,
                std::vector<Blocker>& blockers) {
  bool used = false;
  for (const pci::Device& device : cluster.functions) {
    const auto found = seen.holders.by_device.find(device.bdf);
    if (found == seen.holders.by_device.end()) continue;
    used = true;
    Block(blockers, Obstacle::kInUse, device.bdf,
          fmt::format("in use by {}; end that first", ToString(found->second)));
  }
  if (used || request.force || seen.holders.complete.ok()) return;
  Block(blockers, Obstacle::kUsersUnknown, cluster.functions.back().bdf,
        Text(seen.holders.complete) + "; --force moves devices nevertheless");
}

}  // namespace

bool IsViableBeside(const pci::Device& device) {
  return !device.driver || device.BoundToVfio() || device.driver == "pci-stub" ||
         device.driver == "pcieport";
}

std::vector<std::string> FindLosses(const Snapshot& seen, const Cluster& cluster,
                                    const std::vector<Step>& steps) {
  std::vector<std::string> losses;
  for (const pci::Device& device : cluster.functions) {
    if (Binds(steps, device.bdf) && LosesMemory(seen, device)) {
      losses.push_back(fmt::format(
          "{}: its guests get none of the GPU's memory, as this kernel has no {} for it",
          device.bdf, kVariant));
    }
    if (TakesConsole(seen, device, steps)) {
      losses.push_back(fmt::format("{}: the machine's screen (boot_vga) freezes", device.bdf));
    }
  }
  return losses;
}

std::vector<Blocker> FindBlockers(const Snapshot& seen, const Request& request,
                                  const Cluster& cluster, const std::vector<Step>& steps) {
  std::vector<Blocker> blockers;
  if (request.goal == Goal::kVfio) {
    for (const pci::Device& device : cluster.functions) {
      CheckVfioPossible(seen, device, blockers);
      CheckLosses(seen, request, device, steps, blockers);
    }
    CheckStrangers(request, cluster, blockers);
  }
  if (Moves(steps)) CheckUsers(seen, request, cluster, blockers);
  if (steps.empty()) return blockers;
  for (const pci::Device& device : cluster.functions) {
    if (!device.guarded.ok()) {
      Block(blockers, Obstacle::kLocked, device.bdf, Text(device.guarded.status()));
    }
    if (const auto who = request.reserved.find(device.bdf); who != request.reserved.end()) {
      Block(blockers, Obstacle::kReserved, device.bdf, who->second);
    }
    const auto why = request.unusable.find(device.bdf);
    if (why != request.unusable.end() && Returns(request.goal) && !request.force) {
      Block(blockers, Obstacle::kUnusable, device.bdf,
            fmt::format("must be given to nobody, says cc-manager: {}; have it put that right, or "
                        "take --to none; --force gives it nevertheless",
                        why->second));
    }
  }
  return blockers;
}

std::string_view ToString(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kNotThere:
      return "not-there";
    case Obstacle::kNoGpu:
      return "no-gpu";
    case Obstacle::kDenied:
      return "denied";
    case Obstacle::kNoIommu:
      return "no-iommu";
    case Obstacle::kNoIommuMode:
      return "noiommu-mode";
    case Obstacle::kLocked:
      return "locked";
    case Obstacle::kNoOverride:
      return "no-override";
    case Obstacle::kNoVariant:
      return "no-variant";
    case Obstacle::kConsole:
      return "console";
    case Obstacle::kVfsEnabled:
      return "vfs-enabled";
    case Obstacle::kGroupNotViable:
      return "group-not-viable";
    case Obstacle::kInUse:
      return "in-use";
    case Obstacle::kUsersUnknown:
      return "users-unknown";
    case Obstacle::kReserved:
      return "mode-change";
    case Obstacle::kUnusable:
      return "unusable";
    case Obstacle::kNotOurs:
      return "not-ours";
  }
  return "";
}

}  // namespace gpuhost::vfio
