// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/naming.h"

#include <algorithm>

#include "daemons/sandbox-device-plugin/hash.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/names.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr size_t kMaxName = 63;  // of a qualified name in Kubernetes
constexpr std::string_view kBlanks = " \t\n\f\r";

bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool IsAlphanumeric(char c) { return IsLetter(c) || (c >= '0' && c <= '9'); }
bool IsJoiner(char c) { return c == '_' || c == '-'; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string Trimmed(std::string text) {
  while (!text.empty() && IsJoiner(text.back())) text.pop_back();
  text.erase(0, text.find_first_not_of("_-"));
  return text;
}

absl::Status CheckName(std::string_view variable, std::string_view name) {
  bool valid = !name.empty() && name.size() <= kMaxName && IsLetter(name.front()) &&
               IsAlphanumeric(name.back());
  for (const char c : name) valid = valid && (IsAlphanumeric(c) || IsJoiner(c) || c == '.');
  if (valid) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "{}='{}': no name for a resource; take up to {} letters, digits, '_', '-' and '.', "
               "of which the first is a letter and the last a letter or digit",
               variable, name, kMaxName);
}

}  // namespace

std::string FullName(std::string_view name) { return fmt::format("{}/{}", kVendor, name); }

std::string FormatDeviceName(std::string_view pci_name) {
  std::string name;
  bool in_blanks = false;
  for (const char c : pci_name) {
    const bool blank = kBlanks.find(c) != std::string_view::npos;
    if ((blank && !in_blanks) || c == '/' || c == '.') name += '_';
    if (IsAlphanumeric(c) || IsJoiner(c)) name += Upper(c);
    in_blanks = blank;
  }
  return name;
}

std::string ModelResourceName(std::string_view pci_name, uint16_t device) {
  std::string name = Trimmed(FormatDeviceName(pci_name));
  if (name.empty()) return fmt::format("DEVICE_{:04X}", device);
  if (!IsLetter(name.front())) name.insert(0, "DEV_");
  if (name.size() <= kMaxName) return name;
  return fmt::format("{}-{:08X}", name.substr(0, kMaxName - 9), StableHash(name));
}

bool Selector::Selects(const pci::Device& device) const {
  const bool model = devices.empty() || std::ranges::find(devices, device.device) != devices.end();
  const bool place =
      addresses.empty() || std::ranges::find(addresses, device.bdf) != addresses.end();
  return model && place;
}

absl::StatusOr<Naming> Naming::Create(const std::optional<std::string>& gpu_alias,
                                      const std::optional<std::string>& nvswitch_alias,
                                      NamingConfig config) {
  Naming naming;
  for (const Selector& selector : config.resources) {
    GPUHOST_TRY(CheckName("name", selector.name));
  }
  naming.config_ = std::move(config);
  if (gpu_alias) naming.gpu_ = *gpu_alias;
  if (nvswitch_alias) naming.nvswitch_ = *nvswitch_alias;
  if (!naming.gpu_.empty()) GPUHOST_TRY(CheckName("P_GPU_ALIAS", naming.gpu_));
  if (!naming.nvswitch_.empty()) GPUHOST_TRY(CheckName("NVSWITCH_ALIAS", naming.nvswitch_));
  if (!naming.gpu_.empty() && naming.gpu_ == naming.nvswitch_) {
    return Error(
        absl::StatusCode::kInvalidArgument,
        "P_GPU_ALIAS and NVSWITCH_ALIAS are both '{}': a pod that asks for a GPU could get "
        "a switch; give them different names",
        naming.gpu_);
  }
  return naming;
}

std::string Naming::NameOf(const pci::Device& device) const {
  for (const Selector& selector : config_.resources) {
    if (selector.Selects(device)) return selector.name;
  }
  const std::string& alias = device.kind() == pci::Kind::kNvSwitch ? nvswitch_ : gpu_;
  if (!alias.empty()) return alias;
  const auto named = config_.names.find(device.device);
  return ModelResourceName(
      named == config_.names.end() ? pci::DeviceName(device.device) : named->second, device.device);
}

bool Naming::Excludes(const pci::Device& device) const {
  return std::ranges::find(config_.exclude, device.bdf) != config_.exclude.end();
}

}  // namespace gpuhost::sandbox_device_plugin
