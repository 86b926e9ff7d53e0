// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kata.h"

#include <algorithm>

#include "daemons/node-validator/observe/artefact.h"
#include "daemons/node-validator/observe/real_path.h"
#include "daemons/node-validator/observe/verity.h"
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

const Value::List& Extensions(const KataRuntime& runtime) {
  static const Value::List none;
  const Value* found =
      runtime.merged.Find({"hypervisor", runtime.hypervisor, "guest_extension_images"});
  return found == nullptr || found->AsList() == nullptr ? none : *found->AsList();
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
  for (const Value& extension : Extensions(runtime)) {
    const auto path = extension.Text({"path"});
    if (path) runtime.artefacts.push_back(LookAtArtefact(tree, "guest_extension_images", *path));
  }
}

// All of an image's blocks; what was found is the answer to a question, so that a captured node has
// it, too.
absl::Status CompareBlocks(Questions& questions, const std::string& image, const Verity& verity) {
  const auto& answer = questions.Ask(
      Question::kImageHash, fmt::format("{} {} {} {} {}", image, verity.salt, verity.data_blocks,
                                        verity.data_block_size, verity.hash_block_size));
  if (!answer.ok()) return answer.status();
  const size_t end = std::min(answer->find('\n'), answer->size());
  const std::string root = answer->substr(0, end),
                    differs = answer->substr(std::min(end + 1, answer->size()));
  if (root == verity.root_hash && differs.empty()) return absl::OkStatus();
  if (root == verity.root_hash) {
    return Error(absl::StatusCode::kDataLoss, "its hash tree is damaged, at {}", differs);
  }
  if (!differs.empty()) {
    return Error(absl::StatusCode::kDataLoss, "{} is not what its hash tree was made of", differs);
  }
  return Error(absl::StatusCode::kDataLoss, "its blocks make {}..., the configuration says {}...",
               root.substr(0, 12), verity.root_hash.substr(0, 12));
}

void AddVerified(const Tree& tree, Questions& questions, Depth depth, const std::string& path,
                 const std::string& key, const std::string& parameters, KataRuntime& runtime) {
  VerifiedImage image{.path = path,
                      .key = key,
                      .top = absl::UnavailableError("the image cannot be read"),
                      .blocks = absl::UnavailableError("the image cannot be read")};
  const auto verity = ParseVerity(parameters);
  if (!verity.ok()) {
    image.top = image.blocks = verity.status();
  } else if (tree.Exists(path)) {
    image.data_blocks = verity->data_blocks;
    image.top = CompareTop(tree, path, *verity);
    if (depth == Depth::kDeep) image.blocks = CompareBlocks(questions, path, *verity);
  }
  runtime.verified.push_back(std::move(image));
}

void CheckImages(const Tree& tree, Questions& questions, Depth depth, KataRuntime& runtime) {
  const std::string parameters = runtime.Text("kernel_verity_params").value_or("");
  const std::string image = runtime.Text("image").value_or("");
  if (!parameters.empty() && !image.empty()) {
    AddVerified(tree, questions, depth, image, "kernel_verity_params", parameters, runtime);
  }
  for (const Value& extension : Extensions(runtime)) {
    const std::string name = extension.Text({"name"}).value_or("");
    const std::string path = extension.Text({"path"}).value_or("");
    const std::string its = extension.Text({"verity_params"}).value_or("");
    if (path.empty() || its.empty()) continue;
    AddVerified(tree, questions, depth, path, fmt::format("verity_params of extension {}", name),
                its, runtime);
  }
}

void TryHypervisor(Questions& questions, KataRuntime& runtime) {
  const auto program = std::ranges::find(runtime.artefacts, "path", &Artefact::key);
  if (runtime.hypervisor != "qemu" || program == runtime.artefacts.end()) return;
  if (!program->present.ok() || !program->problem.empty() || !program->path.starts_with('/'))
    return;
  runtime.qemu_version = questions.Ask(Question::kQemu, program->path);
}

KataRuntime ReadRuntime(const Tree& tree, Questions& questions, const Handler& handler,
                        Depth depth) {
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
  const auto socket = runtime.Text("pod_resource_api_sock");
  if (socket && socket->starts_with('/')) runtime.pod_socket = RealPath(tree, *socket);
  AddArtefacts(tree, runtime);
  CheckImages(tree, questions, depth, runtime);
  if (depth == Depth::kDeep) TryHypervisor(questions, runtime);
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

Kata ObserveKata(const Tree& tree, Questions& questions, const Containerd& containerd,
                 Depth depth) {
  Kata kata;
  for (const Handler& handler : containerd.handlers) {
    if (IsKata(handler)) kata.runtimes.push_back(ReadRuntime(tree, questions, handler, depth));
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
