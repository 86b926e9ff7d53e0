// SPDX-License-Identifier: Apache-2.0
//
// Whatever a file like pci.ids has in it, resources get names that Kubernetes and CDI take. The
// first two bytes are the device, the rest is the file.
#include "libgpuhost/pci/names.h"

#include <string>

#include "daemons/sandbox-device-plugin/naming.h"
#include "libgpuhost/base/host_fs.h"
#include "test/fake/temp_root.h"
#include "test/fuzz/check.h"

namespace {

using namespace gpuhost;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsValid(const std::string& name) {
  if (name.empty() || name.size() > 63) return false;
  if (!IsAlphanumeric(name.front()) || !IsAlphanumeric(name.back())) return false;
  if (name.front() >= '0' && name.front() <= '9') return false;
  for (const char c : name) {
    if (!IsAlphanumeric(c) && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& root = *new fake::TempRoot;
  if (size < 2) return 0;
  const auto device = static_cast<uint16_t>(data[0] << 8 | data[1]);
  const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
  root.File("/pci.ids", text);
  const std::string name = pci::DeviceName(device, root.Of("/pci.ids").string());
  Require(IsValid(sandbox_device_plugin::ModelResourceName(name, device)));
  Require(IsValid(sandbox_device_plugin::ModelResourceName(text, device)));
  return 0;
}
