// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kata.h"

#include <algorithm>

#include "daemons/node-validator/observe/artefact.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr std::string_view kDefaults = "/opt/kata/share/defaults/kata-containers";
constexpr const char* kOldPidFile =
    "/opt/nvidia-gpu-operator/artifacts/runtimeclasses/k8s-kata-manager.pid";

absl::StatusOr<Value> ReadToml(const Tree& tree, const std::string& path) {
  GPUHOST_ASSIGN(const std::string text, tree.Read(path));
  auto value = ParseToml(text);
  if (!value.ok()) return Annotate(value.status(), path);
  return value;
}

// The file, then every entry of config.d beside its real place, in the order of their bytes.
absl::Status ReadConfiguration(const Tree& tree, KataRuntime& runtime) {
  runtime.config_file = FollowLinks(tree, runtime.handler.config_path);
  GPUHOST_ASSIGN(runtime.merged, ReadToml(tree, runtime.config_file));
  const std::string directory =
      runtime.config_file.substr(0, runtime.config_file.rfind('/')) + "/config.d";
  for (const auto& name : tree.List(directory).value_or(std::vector<std::string>())) {
    const std::string path = fmt::format("{}/{}", directory, name);
    const auto entry = tree.Look(path);
    if (entry.ok() && entry->kind != Kind::kFile) {
      runtime.strays.push_back(path);
      continue;
    }
    GPUHOST_ASSIGN(const Value over, ReadToml(tree, path));
    Merge(runtime.merged, over, /*join_lists=*/false);
  }
  return absl::OkStatus();
}

void AddArtefacts(const Tree& tree, KataRuntime& runtime) {
  for (const char* key : {"path", "kernel", "image", "initrd", "firmware", "firmware_volume"}) {
    const auto path = runtime.Text(key);
    if (path && !path->empty()) runtime.artefacts.push_back(LookAtArtefact(tree, key, *path));
  }
  if (runtime.Text("shared_fs").value_or("").starts_with("virtio-fs")) {
    const auto path = runtime.Text("virtio_fs_daemon");
    if (path) runtime.artefacts.push_back(LookAtArtefact(tree, "virtio_fs_daemon", *path));
  }
  const Value* extensions =
      runtime.merged.Find({"hypervisor", runtime.hypervisor, "guest_extension_images"});
  if (extensions == nullptr || extensions->AsList() == nullptr) return;
  for (const Value& extension : *extensions->AsList()) {
    const auto path = extension.Text({"path"});
    if (path) runtime.artefacts.push_back(LookAtArtefact(tree, "guest_extension_images", *path));
  }
}

void CheckImage(const Tree& tree, KataRuntime& runtime) {
  runtime.verity = absl::UnavailableError("no image with kernel_verity_params");
  const auto text = runtime.Text("kernel_verity_params");
  const auto image = std::ranges::find(runtime.artefacts, "image", &Artefact::key);
  if (!text || text->empty() || image == runtime.artefacts.end()) return;
  runtime.has_verity = true;
  const auto verity = ParseVerity(*text);
  if (!verity.ok()) {
    runtime.verity = verity.status();
  } else if (image->present.ok()) {
    runtime.verity = CompareVerity(tree, image->path, *verity);
  }
}

KataRuntime ReadRuntime(const Tree& tree, Questions& questions, const Handler& handler) {
  KataRuntime runtime{.handler = handler};
  runtime.rust = handler.runtime_path.find("runtime-rs") != std::string::npos;
  if (handler.runtime_path.starts_with('/')) {
    runtime.shim = LookAtArtefact(tree, "runtime_path", handler.runtime_path);
    if (runtime.shim.present.ok() && runtime.shim.problem.empty()) {
      const Version version =
          FindVersion(questions.Ask(Question::kVersion, handler.runtime_path).value_or(""));
      if (version.major > 0) runtime.shim_version = ToString(version);
    }
  }
  if (handler.config_path.empty()) {
    runtime.config = absl::NotFoundError("the handler names no configuration (options.ConfigPath)");
    return runtime;
  }
  runtime.config = ReadConfiguration(tree, runtime);
  const Value::Table& hypervisors = runtime.merged.TableAt({"hypervisor"});
  if (!hypervisors.empty()) runtime.hypervisor = hypervisors.begin()->first;
  AddArtefacts(tree, runtime);
  CheckImage(tree, runtime);
  return runtime;
}

}  // namespace

std::optional<std::string> KataRuntime::Text(std::string_view key) const {
  auto text = merged.Text({"hypervisor", hypervisor, key});
  if (!text) text = merged.Text({"runtime", key});
  return text;
}

bool KataRuntime::Flag(std::string_view key) const {
  return merged.Bool({"hypervisor", hypervisor, key})
      .value_or(merged.Bool({"runtime", key}).value_or(false));
}

std::optional<int64_t> KataRuntime::Number(std::string_view key) const {
  const auto number = merged.Integer({"hypervisor", hypervisor, key});
  return number ? number : merged.Integer({"runtime", key});
}

bool KataRuntime::ForGpus() const {
  return Text("cold_plug_vfio").value_or("") == "root-port" ||
         Text("hot_plug_vfio").value_or("") == "root-port" ||
         handler.name.find("nvidia-gpu") != std::string::npos;
}

Kata ObserveKata(const Tree& tree, Questions& questions, const Containerd& containerd) {
  Kata kata;
  for (const Handler& handler : containerd.handlers) {
    if (IsKata(handler)) kata.runtimes.push_back(ReadRuntime(tree, questions, handler));
  }
  kata.installed = tree.Exists("/opt/kata");
  kata.old_pid_file = tree.Exists(kOldPidFile);
  for (const auto& name : tree.List(kDefaults).value_or(std::vector<std::string>())) {
    if (name.find("nvidia") != std::string::npos) kata.shipped.push_back(name);
  }
  const auto versions = tree.Read("/opt/kata/versions.yaml");
  if (versions.ok()) {
    const auto parsed = ParseYaml(*versions);
    for (const char* key : {"version", "kata_version"}) {
      if (parsed.ok() && parsed->Text({key})) kata.packaged_version = *parsed->Text({key});
    }
  }
  return kata;
}

}  // namespace gpuhost::node_validator
