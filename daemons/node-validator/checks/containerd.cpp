// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// 2.0 or newer, by what it says itself, or else by the schema that only such ones read.
bool IsModern(const Containerd& found) {
  return found.version.major >= 2 || (found.version.major == 0 && found.schema >= 3);
}

Findings Present(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (found.process) return {Pass(fmt::format("pid {}", found.process->pid), found.program)};
  if (found.crio) {
    Finding finding = Fail("CRI-O runs here, containerd does not", "/proc");
    finding.severity = Severity::kDegraded;
    finding.remedy = "Use containerd: NVIDIA supports confidential containers with it alone.";
    return {finding};
  }
  if (!found.present()) return {Fail("neither runs nor is installed", "/proc")};
  return {Fail("it does not run", found.program)};
}

Findings Parses(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  if (!found.broken.empty()) {
    const auto& [path, problem] = found.broken.front();
    const bool named = problem.find(path) != std::string::npos;
    return {Fail(named ? problem : fmt::format("{}: {}", path, problem), path)};
  }
  // Whatever it says itself counts; it knows what no parser does.
  if (!found.dump.ok() && absl::IsUnknown(found.dump.status())) {
    return {Fail("containerd refuses it: " + Text(found.dump.status()), found.main_file)};
  }
  if (!found.main_file_there && found.files.empty())
    return {Pass("built-in defaults", found.main_file)};
  return {Pass(fmt::format("{} file{}", found.files.size(), found.files.size() == 1 ? "" : "s"),
               found.main_file)};
}

Findings Imports(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  if (found.missing.empty()) return {Pass("all are there", found.main_file)};
  const auto& [path, importer] = found.missing.front();
  Finding finding = Fail(fmt::format("{} is imported and missing", path), importer);
  finding.remedy = fmt::format(
      "Remove {} from `imports` in {}, or put the file back; then `systemctl restart containerd`.",
      path, importer);
  return {finding};
}

Findings VersionOf(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  if (found.version.major == 0) {
    return {Unknown(found.version_text.ok() ? "it does not say" : Text(found.version_text.status()),
                    found.program)};
  }
  const std::string seen = ToString(found.version);
  if (found.version >= Version{2, 1, 0}) return {Pass(seen, found.program)};
  Finding finding = Fail(seen, found.program);
  if (found.version < Version{1, 7, 0}) finding.severity = Severity::kFatal;
  return {finding};
}

Findings Schema(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (found.files.size() < 2 || !found.main_file_there) return {Pass("one file", found.main_file)};
  const int root = SchemaOf(found.files.front().content);
  for (const ConfigFile& file : found.files) {
    if (file.content.Find({"version"}) == nullptr) continue;
    const int schema = SchemaOf(file.content);
    if (schema == root) continue;
    // 2.3 brings older files into its own schema, one by one (tried with 2.3.7).
    if (schema < root && found.version >= Version{2, 3, 0}) continue;
    Finding finding = Fail(
        fmt::format("{} has version {}, the main file {}", file.path, schema, root), file.path);
    finding.remedy = fmt::format(
        "Write `version = {}` in {} and its tables in that schema; then "
        "`systemctl restart containerd`.",
        root, file.path);
    if (found.version >= Version{2, 3, 5}) finding.severity = Severity::kDegraded;
    return {finding};
  }
  return {Pass(fmt::format("version {}", root), found.main_file)};
}

Findings Disabled(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  for (const std::string& name : found.disabled_plugins) {
    const bool needed = name == "cri" || name == "io.containerd.grpc.v1.cri" ||
                        name == "io.containerd.cri.v1.runtime" ||
                        name == "io.containerd.cri.v1.images";
    if (!needed) continue;
    std::string file = found.main_file;
    for (const ConfigFile& one : found.files) {
      if (std::ranges::count(one.content.Texts({"disabled_plugins"}), name) > 0) file = one.path;
    }
    Finding finding = Fail(fmt::format("disabled_plugins has {}", name), file);
    finding.remedy = fmt::format(
        "Remove \"{}\" from disabled_plugins in {} and run `systemctl restart containerd`.", name,
        file);
    return {finding};
  }
  return {Pass("CRI is on", found.main_file)};
}

Findings Default(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  // Handlers that are written replace the built-in table of 1.x as a whole.
  const bool builtin = found.handlers.empty() || IsModern(found);
  const auto has = [&](const std::string& name) {
    return (builtin && name == "runc") ||
           std::ranges::any_of(found.handlers, [&](const Handler& h) { return h.name == name; });
  };
  if (!has(found.default_runtime)) {
    return {Fail(fmt::format("default_runtime_name is {}, and there is no such handler",
                             found.default_runtime),
                 found.main_file)};
  }
  return {Pass(found.default_runtime, found.main_file)};
}

Findings KillMode(const Facts& facts) {
  const Unit& unit = facts.containerd.unit;
  if (unit.path.empty()) return {Unknown("its unit is not known", "/etc/systemd/system")};
  if (!facts.containerd.distribution.empty()) {
    return {Skip("containerd is a part of " + facts.containerd.distribution)};
  }
  const auto setting = unit.settings.find("KillMode");
  const std::string mode = setting == unit.settings.end() ? "control-group" : setting->second;
  const auto restart = unit.settings.find("Restart");
  if (mode != "process") return {Fail("KillMode=" + mode, unit.path)};
  if (restart == unit.settings.end() || restart->second != "always") {
    Finding finding = Fail("Restart is not always", unit.path);
    finding.remedy = "Run `systemctl edit containerd`, and write [Service] and Restart=always.";
    return {finding};
  }
  return {Pass("KillMode=process, Restart=always", unit.path)};
}

Findings Cdi(const Facts& facts) {
  const Containerd& found = facts.containerd;
  if (!found.present()) return {Skip("no containerd")};
  const bool on = found.cdi_enabled.value_or(IsModern(found));
  if (!on) return {Fail("enable_cdi is off", found.main_file)};
  const auto& directories = found.cdi_directories;
  const bool reads = directories.empty() || std::ranges::count(directories, "/var/run/cdi") > 0 ||
                     std::ranges::count(directories, "/run/cdi") > 0;
  if (!reads)
    return {Fail("cdi_spec_dirs lacks /var/run/cdi: " + Some(directories), found.main_file)};
  return {Pass("on", found.main_file)};
}

Findings LockedMemory(const Facts& facts) {
  if (!facts.containerd.process) return {Skip("containerd does not run")};
  const auto& [pid, limit] =
      std::pair(facts.containerd.process->pid, facts.containerd.process->locked_memory);
  const std::string file = fmt::format("/proc/{}/limits", pid);
  if (limit.empty()) return {Unknown("its limit is not known", file)};
  return {limit == "unlimited" ? Pass(limit, file) : Fail(limit + " bytes", file)};
}

}  // namespace

Group ContainerdChecks() {
  return {"containerd",
          {
              {"CTR-RUN",
               Severity::kFatal,
               "containerd runs",
               "a process containerd",
               "Run `systemctl enable --now containerd`; `journalctl -u containerd -e` tells why "
               "it stopped.",
               "Kata's handlers are containerd's.",
               {"CTR-CONF", "CTR-IMPORT", "CTR-CFG-VER", "CTR-DEFAULT"},
               &Present},
              {"CTR-CONF",
               Severity::kFatal,
               "containerd's configuration can be read",
               "valid TOML that containerd takes",
               "Correct the file at the place that is named; `containerd -c <file> config dump` "
               "tells when it "
               "is right.",
               "The main file and all that it imports, in containerd's order. Where containerd can "
               "be run, its "
               "own `config dump` is asked too.",
               {"CTR-IMPORT", "CTR-CFG-VER"},
               &Parses},
              {"CTR-IMPORT",
               Severity::kFatal,
               "All files that it imports are there",
               "each file that imports names, unless it has a *",
               "Remove the entry from `imports`, or put the file back; then `systemctl restart "
               "containerd`.",
               "containerd does not start without a file that it was told to import. It may run "
               "still, and not "
               "come back from its next restart.",
               {},
               &Imports},
              {"CTR-VER",
               Severity::kDegraded,
               "containerd is new enough",
               "2.1 or newer; below 1.7 images cannot be pulled in the guest",
               "Upgrade containerd to 2.1 or newer.",
               "The Kata project recommends 2.1; NVIDIA tested 2.2 and 2.3.",
               {},
               &VersionOf},
              {"CTR-CFG-VER",
               Severity::kFatal,
               "All files have one schema",
               "the `version` of the main file, or none; from 2.3 also a lower one",
               "Write the same `version` in all files.",
               "2.0 to 2.2 let a drop-in's version replace the main file's; 2.3.0 to 2.3.4 refuse "
               "a higher one.",
               {},
               &Schema},
              {"CTR-DISABLED",
               Severity::kFatal,
               "CRI is not switched off",
               "disabled_plugins without cri",
               "Remove \"cri\" from disabled_plugins and run `systemctl restart containerd`.",
               "Docker's package of containerd comes with CRI switched off. A drop-in cannot take "
               "an entry from "
               "the list, for lists are joined.",
               {"CTR-CONF"},
               &Disabled},
              {"CTR-DEFAULT",
               Severity::kFatal,
               "Ordinary pods have a handler",
               "the default runtime is one of the handlers",
               "Put the table of the default runtime (runc) back: `containerd config default` "
               "shows it.",
               "A configuration that has Kata's handlers alone loses runc, and with it every other "
               "pod.",
               {"CTR-CONF"},
               &Default},
              {"CTR-UNIT",
               Severity::kDegraded,
               "A restart leaves guests alone",
               "KillMode=process and Restart=always",
               "Run `systemctl edit containerd`, and write [Service], KillMode=process, "
               "Restart=always.",
               "With another KillMode systemd ends all shims, and so all guests, with containerd.",
               {},
               &KillMode},
              {"CTR-CDI",
               Severity::kInfo,
               "containerd reads CDI",
               "enable_cdi, and /var/run/cdi among cdi_spec_dirs",
               "Set enable_cdi = true in containerd's CRI section (1.7 has it off).",
               "Kata's shim reads CDI itself; containerd must for devices that a pod names by "
               "annotation.",
               {"CTR-CONF"},
               &Cdi},
              {"MEMLOCK",
               Severity::kInfo,
               "Shims may lock memory",
               "unlimited",
               "Run `systemctl edit containerd`, and write [Service] and LimitMEMLOCK=infinity.",
               "Root may lock as much as it wants; it matters to rootless Kata and to iommufd's "
               "accounting on "
               "some kernels.",
               {"CTR-RUN"},
               &LockedMemory},
          },
          [](const Facts& facts) -> const absl::Status& { return facts.containerd.known; },
          "CTR-RUN"};
}

}  // namespace gpuhost::node_validator
