// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/checks/each.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// What is wrong with where `artefact` is; empty: nothing.
std::string Missing(const Artefact& artefact) {
  if (artefact.present.ok()) return "";
  if (absl::IsNotFound(artefact.present) && artefact.target != artefact.path) {
    return fmt::format("{} leads to {}, which is not there", artefact.path, artefact.target);
  }
  return Trouble(artefact.present, artefact.path);
}

Findings Shim(const Facts& facts) {
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const Handler& handler = runtime.handler;
    if (handler.runtime_path.empty()) {
      return Unknown(
          fmt::format("no runtime_path; containerd looks for the shim of {} on its $PATH",
                      handler.runtime_type),
          handler.file);
    }
    if (const std::string wrong = Missing(runtime.shim); !wrong.empty()) {
      return Fail(wrong, handler.file);
    }
    if (!runtime.shim.problem.empty()) {
      return Fail(fmt::format("{}: {}", handler.runtime_path, runtime.shim.problem),
                  handler.runtime_path);
    }
    return Pass(handler.runtime_path, handler.runtime_path);
  });
}

Findings Configuration(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    const std::string& path = runtime.handler.config_path;
    if (!runtime.strays.empty()) {
      Finding finding = Fail(fmt::format("{} is no regular file", runtime.strays.front()),
                             runtime.strays.front());
      finding.remedy =
          fmt::format("Remove {}: every entry of config.d is read.", runtime.strays.front());
      return finding;
    }
    if (!runtime.config.ok()) return Fail(Text(runtime.config), path.empty() ? "containerd" : path);
    if (runtime.hypervisor.empty()) return Fail("it has no table [hypervisor.…]", path);
    return Pass(path, runtime.config_file);
  });
}

Findings Files(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    if (!runtime.config.ok()) return Skip("its configuration cannot be read");
    std::vector<std::string> wrong;
    for (const Artefact& artefact : runtime.artefacts) {
      if (const std::string text = Missing(artefact); !text.empty()) {
        wrong.push_back(fmt::format("{}: {}", artefact.key, text));
      }
    }
    const auto has = [&](std::string_view key) {
      return std::ranges::any_of(runtime.artefacts,
                                 [&](const Artefact& a) { return a.key == key; });
    };
    if (!has("path")) wrong.emplace_back("no hypervisor (path)");
    if (!has("kernel")) wrong.emplace_back("no kernel");
    if (has("image") && has("initrd"))
      wrong.emplace_back("both image and initrd, of which one is right");
    if (!has("image") && !has("initrd")) wrong.emplace_back("neither image nor initrd");
    if (runtime.Confidential() && !has("firmware")) wrong.emplace_back("no firmware");
    if (!wrong.empty()) return Fail(Some(wrong), runtime.config_file);
    return Pass(fmt::format("{} files", runtime.artefacts.size()), runtime.config_file);
  });
}

Findings Formats(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    std::vector<std::string> wrong;
    std::string evidence = runtime.config_file;
    for (const Artefact& artefact : runtime.artefacts) {
      if (artefact.problem.empty()) continue;
      wrong.push_back(fmt::format("{} {}: {}", artefact.key, artefact.target, artefact.problem));
      evidence = artefact.path;
    }
    if (!wrong.empty()) return Fail(Some(wrong), evidence);
    return Pass("kernel, image, firmware and programs are such", evidence);
  });
}

Findings Verified(const Facts& facts) {
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    const bool verified = !runtime.Text("kernel_verity_params").value_or("").empty();
    if (runtime.Confidential() && runtime.Text("image") && !verified) {
      return Fail("no kernel_verity_params", runtime.config_file);
    }
    if (runtime.verified.empty()) return Skip("no image that is verified");
    for (const VerifiedImage& image : runtime.verified) {
      if (absl::IsInvalidArgument(image.top)) {
        return Fail(fmt::format("{}: {}", image.key, Text(image.top)), runtime.config_file);
      }
      if (absl::IsDataLoss(image.top)) {
        return Fail(fmt::format("{} is another image: {}", image.path, Text(image.top)),
                    image.path);
      }
    }
    for (const VerifiedImage& image : runtime.verified) {
      if (!image.top.ok()) return Unknown(Text(image.top), image.path);
    }
    const size_t count = runtime.verified.size();
    return Pass(count == 1
                    ? "the image's hash tree has the root hash"
                    : fmt::format("the hash trees of {} images have their root hashes", count),
                runtime.verified[0].path);
  });
}

Findings Undamaged(const Facts& facts) {
  if (facts.depth != Depth::kDeep) return {Skip("images are read as a whole by --deep alone")};
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    if (runtime.verified.empty()) return Skip("no image that is verified");
    uint64_t blocks = 0;
    for (const VerifiedImage& image : runtime.verified) {
      blocks += image.data_blocks;
      const absl::Status& found = image.blocks;
      const std::string seen = fmt::format("{}: {}", image.path, Text(found));
      if (absl::IsDataLoss(found) || absl::IsInvalidArgument(found)) return Fail(seen, image.path);
    }
    for (const VerifiedImage& image : runtime.verified) {
      if (!image.blocks.ok()) return Unknown(Text(image.blocks), image.path);
    }
    return Pass(fmt::format("{} blocks make the root hash", blocks), runtime.verified[0].path);
  });
}

Findings Started(const Facts& facts) {
  if (facts.depth != Depth::kDeep) return {Skip("it is started for a moment by --deep alone")};
  return EachRuntime(facts, [](const KataRuntime& runtime) {
    const std::string program = runtime.Text("path").value_or("");
    const absl::Status why = runtime.qemu_version.status();
    if (runtime.hypervisor != "qemu") return Skip("its hypervisor is not QEMU");
    if (why.ok()) return Pass("QEMU " + *runtime.qemu_version, program);
    const bool not_tried = absl::IsUnavailable(why) || absl::IsPermissionDenied(why);
    return not_tried ? Unknown(Text(why), program) : Fail(Text(why), program);
  });
}

Findings Skew(const Facts& facts) {
  return EachRuntime(facts, [&](const KataRuntime& runtime) {
    const std::string& packaged = facts.kata.packaged_version;
    if (packaged.empty()) return Skip("no version in /opt/kata/versions.yaml");
    if (runtime.shim_version.empty()) return Unknown("the shim was not asked", runtime.shim.path);
    const std::string wanted = ToString(FindVersion(packaged));
    if (runtime.shim_version == wanted) return Pass(packaged, "/opt/kata/versions.yaml");
    return Fail(fmt::format("shim {}, files {}", runtime.shim_version, packaged),
                "/opt/kata/versions.yaml");
  });
}

}  // namespace

Group KataFileChecks() {
  const char* install =
      "Install Kata once more (`helm upgrade --install kata-deploy ...`), which puts its files "
      "back; then "
      "look again.";
  return {
      "Kata's files",
      {
          {"KATA-SHIM",
           Severity::kFatal,
           "The shim can be started",
           "an executable file of root's that nobody else may write",
           install,
           "containerd starts a shim for each pod: \"runtime binary not installed\" means this "
           "file.",
           {"CTR-HANDLER", "KATA-INST"},
           &Shim},
          {"KATA-CONF",
           Severity::kFatal,
           "Kata's configuration can be read",
           "valid TOML, and nothing but regular files in config.d",
           "Correct the file at the place that is named. In config.d leave nothing that is no "
           "drop-in: "
           "neither directories nor an editor's backups.",
           "The file that the handler names, with links followed, and then every entry of "
           "config.d beside "
           "it, key by key.",
           {"CTR-HANDLER", "KATA-INST"},
           &Configuration},
          {"KATA-FILES",
           Severity::kFatal,
           "All files that it names are there",
           "hypervisor, kernel, one of image and initrd, firmware; links lead somewhere",
           install,
           "Kernel and image are links to files with a version in their names. An upgrade that "
           "was cut off "
           "leaves links that lead nowhere.",
           {"KATA-CONF", "KATA-INST"},
           &Files},
          {"KATA-FORMAT",
           Severity::kFatal,
           "They are what they are called",
           "a kernel, a partitioned image with erofs or ext4, a firmware volume, programs",
           install,
           "The first bytes tell. A file that was cut off while it was pulled is found here.",
           {"KATA-FILES", "KATA-CONF"},
           &Formats},
          {"KATA-VERITY",
           Severity::kFatal,
           "The image is the one that the configuration verifies",
           "the root hash of kernel_verity_params",
           "Configuration and image are of different versions: install Kata once more, or take "
           "the line from "
           "/opt/kata/share/kata-containers/root_hash_<variant>.txt.",
           "The guest's kernel verifies its root file system with dm-verity, and panics when "
           "the hash is "
           "another one. The top of the hash tree is hashed and compared.",
           {"KATA-FILES", "KATA-CONF", "KATA-FORMAT"},
           &Verified},
          {"KATA-BLOCKS",
           Severity::kFatal,
           "No block of an image is damaged",
           "all blocks together make the root hash",
           install,
           "The guest's kernel refuses a damaged block when it is read, which may be long after "
           "the start. With --deep the whole hash tree is made anew from the first partition "
           "and compared with the one in the second.",
           {"KATA-VERITY", "KATA-FILES", "KATA-CONF", "KATA-FORMAT"},
           &Undamaged},
          {"KATA-QEMU",
           Severity::kFatal,
           "The hypervisor can be started",
           "QEMU answers over QMP within 10 s",
           install,
           "With --deep it is started without any machine (-machine none -S), asked for its "
           "version, and told to quit. That finds a program of another architecture, and one "
           "whose interpreter or libraries are missing; no key and no GPU is taken.",
           {"KATA-FILES", "KATA-CONF", "KATA-FORMAT", "KVM-DEV"},
           &Started},
          {"KATA-VER",
           Severity::kDegraded,
           "Shim and files are of one version",
           "`containerd-shim-kata-v2 --version` as in /opt/kata/versions.yaml",
           install,
           "An upgrade that was cut off leaves a new shim with old images.",
           {"KATA-SHIM"},
           &Skew},
      }};
}

}  // namespace gpuhost::node_validator
