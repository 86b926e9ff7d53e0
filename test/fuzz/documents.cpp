// SPDX-License-Identifier: Apache-2.0
//
// What daemons read that others wrote. The first byte chooses the reader, the rest is the text.
#include <array>
#include <string>

#include "daemons/cc-manager/config.h"
#include "daemons/cc-manager/labels.h"
#include "daemons/common/kube/endpoint.h"
#include "daemons/common/kube/json.h"
#include "daemons/common/kube/runtime_class.h"
#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/cdi.h"
#include "daemons/sandbox-device-plugin/checkpoint.h"
#include "daemons/sandbox-device-plugin/config_file.h"
#include "daemons/sandbox-device-plugin/naming.h"
#include "test/fake/fake_kernel.h"
#include "test/fuzz/check.h"

namespace {

using namespace gpuhost;

struct Bench {
  fake::TempRoot root;
  HostFs fs{root.path()};
};

using Reader = void (*)(Bench&, const std::string&);

void StatusDocument(Bench& bench, const std::string& text) {
  bench.root.File("/run/nvidia/gpuhost/cc-manager.json", text);
  const auto read = service::ReadStatusDocument(bench.fs, "cc-manager");
  if (!read.ok()) return;
  // What was understood can be written and says the same.
  service::StatusDocument document = *read;
  document.daemon = "copy";
  Require(service::Publish(bench.fs, document).ok());
  const auto again = service::ReadStatusDocument(bench.fs, "copy");
  Require(again.ok() && again->devices == document.devices);
}

void Checkpoint(Bench&, const std::string& text) {
  const auto remembered = sandbox_device_plugin::ParseCheckpoint(text);
  if (!remembered.ok()) return;
  const sandbox_device_plugin::Unit unit{.id = "1", .nodes = {"/dev/vfio/1"}};
  sandbox_device_plugin::CompareCheckpoint(*remembered, {{"nvidia.com/pgpu", {unit}}});
}

void ConfigFile(Bench&, const std::string& text) {
  const auto config = sandbox_device_plugin::ParseConfigFile(text);
  if (!config.ok()) return;
  const auto naming = sandbox_device_plugin::Naming::Create("", "", config->naming);
  if (naming.ok()) Require(!naming->NameOf({.device = 0x2331, .class_code = 0x030200}).empty());
}

void ForeignCdi(Bench& bench, const std::string& text) {
  bench.root.File("/var/run/cdi/other.json", text);
  sandbox_device_plugin::FindForeignCdi(bench.fs, "/var/run/cdi", {{.name = "pgpu", .units = {}}});
}

void NodeOfKubernetes(Bench&, const std::string& text) {
  kube::ParseNodeList(text, "n").IgnoreError();
  kube::ParseWatchLine(text).IgnoreError();
  kube::ParseRefusal(text);
  kube::ParseRuntimeClasses(text).IgnoreError();
  kube::ParseServerVersion(text).IgnoreError();
  const auto node = kube::ParseNode(text);
  if (node.ok()) cc_manager::WantedMode(node->labels, cc::Mode::kOff).IgnoreError();
}

void Kubeconfig(Bench& bench, const std::string& text) {
  bench.root.File("/kubeconfig", text);
  kube::LoadKubeconfig(bench.fs, "/kubeconfig").IgnoreError();
}

void CcConfig(Bench& bench, const std::string& text) {
  bench.root.File("/cc-manager.toml", text);
  cc_manager::ReadConfig(bench.fs, "/cc-manager.toml").IgnoreError();
}

constexpr std::array<Reader, 7> kReaders{&StatusDocument,   &Checkpoint, &ConfigFile, &ForeignCdi,
                                         &NodeOfKubernetes, &Kubeconfig, &CcConfig};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& bench = *new Bench;
  if (size == 0) return 0;
  kReaders[data[0] % kReaders.size()](
      bench, std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
