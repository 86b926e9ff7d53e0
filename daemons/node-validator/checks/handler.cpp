// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <sstream>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/each.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kKataDeploy =
    "Install Kata: `helm install kata-deploy oci://ghcr.io/kata-containers/kata-deploy-charts/"
    "kata-deploy -n kata-system --create-namespace -f try-kata-nvidia-gpu.values.yaml`.";

std::string WantedName(const Facts& facts) {
  if (facts.workload == Workload::kPassthrough) return "kata-qemu-nvidia-gpu";
  return facts.Intel() ? "kata-qemu-nvidia-gpu-tdx" : "kata-qemu-nvidia-gpu-snp";
}

Findings Installed(const Facts& facts) {
  const Kata& kata = facts.kata;
  if (!kata.shipped.empty()) {
    return {Pass(fmt::format("{} configurations for NVIDIA GPUs{}", kata.shipped.size(),
                             kata.packaged_version.empty() ? "" : ", " + kata.packaged_version),
                 "/opt/kata/share/defaults/kata-containers")};
  }
  if (!facts.Runtimes().empty()) return {Pass("elsewhere than in /opt/kata", "/opt/kata")};
  if (kata.installed) {
    return {Fail("/opt/kata has no configuration for NVIDIA GPUs",
                 "/opt/kata/share/defaults/kata-containers")};
  }
  return {Fail("there is no /opt/kata", "/opt/kata")};
}

Findings Present(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  const auto runtimes = facts.Runtimes();
  if (!runtimes.empty()) {
    std::vector<std::string> names;
    for (const KataRuntime* runtime : runtimes) names.push_back(runtime->handler.name);
    return {Pass(Some(names), runtimes[0]->handler.file)};
  }
  for (const Handler& handler : found.misplaced) {
    Finding finding = Fail(fmt::format("{} is written below {}, which version = {} does not read",
                                       handler.name, handler.plugin, found.schema),
                           handler.file);
    finding.remedy = fmt::format(
        "In {} write the tables of {} below plugins.\"{}\" and run `systemctl restart containerd`.",
        handler.file, handler.name, RuntimesPath(found.schema)[1]);
    return {finding};
  }
  std::vector<std::string> others;
  for (const KataRuntime& runtime : facts.kata.runtimes) others.push_back(runtime.handler.name);
  Finding finding =
      Fail(others.empty() ? "no handler of Kata's" : "none that fits; there are " + Some(others),
           found.main_file);
  finding.expected = WantedName(facts) + ", or another that starts such guests with GPUs";
  return {finding};
}

Findings Loaded(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.process) return {Skip("containerd does not run")};
  const auto runtimes = facts.Runtimes();
  if (runtimes.empty()) return {Skip("no handler to look for")};
  if (found.running_handlers.ok() && !found.running_handlers->empty()) {
    std::istringstream lines(*found.running_handlers);
    std::set<std::string> loaded;
    for (std::string line; std::getline(lines, line);) loaded.insert(line);
    std::vector<std::string> missing;
    for (const KataRuntime* runtime : runtimes) {
      if (!loaded.contains(runtime->handler.name)) missing.push_back(runtime->handler.name);
    }
    if (missing.empty()) return {Pass("loaded", found.socket)};
    return {Fail("configured, and not loaded: " + Some(missing), found.socket)};
  }
  if (!found.process->started) return {Unknown("when containerd started is not known", "/proc")};
  if (found.changed > *found.process->started) {
    return {Fail("the configuration is younger than the process", found.main_file)};
  }
  return {Pass("the process is younger than the configuration", found.main_file)};
}

// Keys that a handler's table may have, of all versions. Source: containerd, docs/cri/config.md.
constexpr auto kKeys = std::to_array<std::string_view>(
    {"runtime_type", "runtime_path", "runtime_engine", "runtime_root", "pod_annotations",
     "container_annotations", "privileged_without_host_devices",
     "privileged_without_host_devices_all_devices_allowed", "base_runtime_spec", "cni_conf_dir",
     "cni_max_conf_num", "snapshotter", "sandbox_mode", "sandboxer", "io_type", "cgroup_writable",
     "options"});

Findings Keys(const Facts& facts) {
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const Handler& handler = runtime.handler;
    std::vector<std::string> unknown;
    for (const auto& [key, value] : facts.containerd.merged.TableAt(
             {"plugins", handler.plugin, "containerd", "runtimes", handler.name})) {
      if (std::ranges::count(kKeys, key) == 0) unknown.push_back(key);
    }
    if (handler.runtime_type.empty()) {
      return Fail(unknown.empty() ? "no runtime_type" : "no runtime_type, but " + Some(unknown),
                  handler.file);
    }
    if (unknown.empty()) return Pass(handler.runtime_type, handler.file);
    Finding finding = Fail("unknown: " + Some(unknown), handler.file);
    finding.severity = Severity::kDegraded;
    return finding;
  });
}

Findings Annotations(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    const auto& list = runtime.handler.pod_annotations;
    const bool all = std::ranges::any_of(list, [](const std::string& pattern) {
      return pattern == "io.katacontainers.*" || pattern == "*";
    });
    return all ? Pass("passed on", runtime.handler.file)
               : Fail(list.empty() ? "no pod_annotations" : Some(list), runtime.handler.file);
  });
}

Findings HostDevices(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    return runtime.handler.no_host_devices ? Pass("true", runtime.handler.file)
                                           : Fail("false", runtime.handler.file);
  });
}

// Source: containerd 2.1, plugins/snapshots.
constexpr auto kBuiltin = std::to_array<std::string_view>(
    {"overlayfs", "native", "erofs", "devmapper", "blockfile", "btrfs", "zfs"});

Findings Snapshotter(const Facts& facts) {
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const Containerd& found = facts.containerd;
    const Handler& handler = runtime.handler;
    // kata-deploy's forceGuestPull: the shim itself pulls in the guest, in Go and in Rust.
    const auto experiments = runtime.merged.Texts({"runtime", "experimental"});
    if (handler.snapshotter.empty() && (runtime.Flag("experimental_force_guest_pull") ||
                                        std::ranges::count(experiments, "force_guest_pull") > 0)) {
      return Pass("the guest pulls without one", runtime.config_file);
    }
    if (handler.snapshotter.empty()) {
      return runtime.Confidential() ? Fail("none is named", handler.file)
                                    : Pass("the default", handler.file);
    }
    if (found.schema >= 3 && !handler.image_snapshotter.empty() &&
        handler.image_snapshotter != handler.snapshotter) {
      Finding finding = Fail(
          fmt::format("{}, and {} for its images", handler.snapshotter, handler.image_snapshotter),
          handler.file);
      finding.severity = Severity::kFatal;
      return finding;
    }
    const bool builtin = std::ranges::count(kBuiltin, handler.snapshotter) > 0;
    if (!builtin && !found.proxy_snapshotters.contains(handler.snapshotter)) {
      Finding finding = Fail(handler.snapshotter + " is none of containerd's, nor of proxy_plugins",
                             handler.file);
      finding.severity = Severity::kFatal;
      finding.remedy = fmt::format(
          "Let kata-deploy set it up (snapshotter.setup = [\"nydus\"]), or name another than {}.",
          handler.snapshotter);
      return finding;
    }
    return Pass(handler.snapshotter, handler.file);
  });
}

}  // namespace

Group HandlerChecks() {
  return {
      "Runtime handlers",
      {
          {"KATA-INST",
           Severity::kFatal,
           "Kata is installed",
           "configuration-qemu-nvidia-gpu*.toml below /opt/kata/share/defaults/kata-containers",
           kKataDeploy,
           "`ls -l /opt/kata/share/defaults/kata-containers | grep nvidia` shows the same.",
           {},
           &Installed},
          {"CTR-HANDLER",
           Severity::kFatal,
           "containerd has a handler for such pods",
           "kata-qemu-nvidia-gpu-snp or -tdx, at the place that this schema reads",
           "Let kata-deploy, or gpuhost's kata-manager, write the handler and restart "
           "containerd. See that "
           "the shim is enabled in the chart (shims.qemu-nvidia-gpu-snp.enabled=true).",
           "A RuntimeClass names a handler, and containerd looks it up in its configuration. A "
           "table below "
           "another schema's plugin is ignored with a warning only.",
           {"KATA-INST", "CTR-CONF", "CTR-IMPORT", "CTR-DISABLED", "CTR-CFG-VER"},
           &Present},
          {"CTR-KEYS",
           Severity::kFatal,
           "The handler's table is spelt right",
           "a runtime_type, and no key that containerd does not know",
           "Correct the key in the file that is named, and restart containerd.",
           "containerd only logs a warning about a key that it does not know, and goes without it.",
           {"CTR-HANDLER"},
           &Keys},
          {"CTR-LOADED",
           Severity::kFatal,
           "containerd has loaded it",
           "the handler is known to the running process",
           "Run `systemctl restart containerd` when it suits: guests survive it where KillMode "
           "is process "
           "(CTR-UNIT).",
           "containerd reads its configuration when it starts. From 2.0 on it tells what it "
           "has loaded; "
           "else times are compared.",
           {"CTR-HANDLER", "CTR-RUN"},
           &Loaded},
          {"CTR-ANN",
           Severity::kDegraded,
           "Pods may pass words to Kata",
           "pod_annotations has io.katacontainers.*",
           "Add pod_annotations = [\"io.katacontainers.*\"] to the handler's table and restart "
           "containerd.",
           "kernel_params with agent.aa_kbc_params, and init-data, reach Kata by annotations. "
           "Without them "
           "no guest is attested.",
           {"CTR-HANDLER"},
           &Annotations},
          {"CTR-PWHD",
           Severity::kDegraded,
           "Privileged pods get no devices of the host",
           "privileged_without_host_devices = true",
           "Set privileged_without_host_devices = true in the handler's table and restart "
           "containerd.",
           "Else containerd hands all of the host's devices to Kata, which tries to put them "
           "into the guest.",
           {"CTR-HANDLER"},
           &HostDevices},
          {"CTR-SNAP",
           Severity::kDegraded,
           "Images come into the guest",
           "a snapshotter that containerd has: nydus-for-kata-tee or erofs",
           "Set up nydus or erofs through kata-deploy's snapshotter.setup and the shim's "
           "containerd.snapshotter.",
           "A confidential guest pulls its images itself; a snapshotter on the host tells it "
           "which.",
           {"CTR-HANDLER"},
           &Snapshotter},
      },
      [](const Facts& facts) -> const absl::Status& { return facts.containerd.known; },
      "CTR-RUN"};
}

}  // namespace gpuhost::node_validator
