// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/names.h"

// libpci 3.9 does not declare its C linkage itself.
extern "C" {
#include <pci/pci.h>
}

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {
namespace {

struct Pinned {
  uint16_t device;
  std::string_view name;
};

// pci.ids of 2025-07-11, the release that the resource names of NVIDIA's own plugin come from.
constexpr auto kPinned = std::to_array<Pinned>({
    {0x1af1, "GA100 [A100 NVSwitch]"},
    {0x22a3, "GH100 [H100 NVSwitch]"},
    {0x2302, "GH100"},
    {0x2313, "GH100 [H100 CNX]"},
    {0x2321, "GH100 [H100L 94GB]"},
    {0x2322, "GH100 [H800 PCIe]"},
    {0x2324, "GH100 [H800]"},
    {0x2329, "GH100 [H20]"},
    {0x232c, "GH100 [H20 HBM3e]"},
    {0x2330, "GH100 [H100 SXM5 80GB]"},
    {0x2331, "GH100 [H100 PCIe]"},
    {0x2335, "GH100 [H200 SXM 141GB]"},
    {0x2336, "GH100 [H100]"},
    {0x2337, "GH100 [H100 SXM5 64GB]"},
    {0x2338, "GH100 [H100 SXM5 96GB]"},
    {0x2339, "GH100 [H100 SXM5 94GB]"},
    {0x233a, "GH100 [H800L 94GB]"},
    {0x233b, "GH100 [H200 NVL]"},
    {0x2342, "GH100 [GH200 120GB / 480GB]"},
    {0x2343, "GH100"},
    {0x2345, "GH100 [GH100-88K-A1]"},
    {0x2348, "GH100 [GH200 144G HBM3e]"},
    {0x23b0, "GH100"},
    {0x23f0, "GH100"},
    {0x2901, "GB100 [B200]"},
    {0x2920, "GB100 [TS4 / B100]"},
    {0x2924, "GB100"},
    {0x2925, "GB100"},
    {0x293d, "GB100"},
    {0x2941, "GB100 [HGX GB200]"},
    {0x297e, "GB100"},
    {0x29bc, "GB102 [B100]"},
    {0x2bb1, "GB202GL [RTX PRO 6000 Blackwell Workstation Edition]"},
    {0x2bb4, "GB202GL [RTX PRO 6000 Blackwell Max-Q Workstation Edition]"},
    {0x2bb5, "GB202GL [RTX PRO 6000 Blackwell Server Edition]"},
    {0x31c0, "GB110"},
});
static_assert(std::ranges::is_sorted(kPinned, {}, &Pinned::device));

// libpci calls exit() on errors unless its hook leaves by another way. The GNU spelling makes it
// part of the function's type, as libpci declares the hook.
__attribute__((noreturn)) void Throw(char* format, ...) { throw std::runtime_error(format); }
void Ignore(char*, ...) {}

std::string FromPciIds(uint16_t device, std::string path) {
  try {
    const std::unique_ptr<pci_access, void (*)(pci_access*)> access(pci_alloc(), &pci_cleanup);
    access->error = &Throw;
    access->warning = &Ignore;
    access->debug = &Ignore;
    access->method = PCI_ACCESS_DUMP;  // names only: no hardware is opened
    int flags = PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS;
    if (!path.empty()) {
      pci_set_name_list_path(access.get(), path.data(), 0);
      flags |= PCI_LOOKUP_NO_HWDB;  // udev's database, which it would ask as well
    }
    char name[256];
    const char* found = pci_lookup_name(access.get(), name, sizeof name, flags, kNvidia, device);
    return found == nullptr ? "" : found;
  } catch (const std::exception&) {
    return "";
  }
}

}  // namespace

std::string DeviceName(uint16_t device, const std::string& pci_ids) {
  const auto pinned = std::ranges::lower_bound(kPinned, device, {}, &Pinned::device);
  if (pinned != kPinned.end() && pinned->device == device) return std::string(pinned->name);
  return FromPciIds(device, pci_ids);
}

std::string ModelName(uint16_t device) {
  const std::string name = DeviceName(device);
  if (name.empty()) return fmt::format("10de:{:04x}", device);
  const size_t open = name.find('['), close = name.rfind(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return name;
  return name.substr(open + 1, close - open - 1);
}

}  // namespace gpuhost::pci
