// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/artefact.h"

#include "daemons/node-validator/observe/partitions.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

bool Has(const Tree& tree, const std::string& path, off_t offset, std::string_view bytes) {
  const auto found = tree.ReadAt(path, offset, bytes.size());
  return found.ok() && *found == bytes;
}

std::string ProgramProblem(const Tree& tree, const std::string& path, const Entry& entry) {
  if ((entry.mode & 0111) == 0) return "it is not executable";
  if (entry.uid != 0) return fmt::format("it belongs to user {}, not to root", entry.uid);
  if ((entry.mode & 0022) != 0)
    return fmt::format("others may write to it (mode {:o})", entry.mode);
  if (Has(tree, path, 0,
          "\x7f"
          "ELF") ||
      Has(tree, path, 0, "#!"))
    return "";
  return "it is no program: it begins with neither ELF nor #!";
}

std::string KernelProblem(const Tree& tree, const std::string& path) {
  const bool kernel = Has(tree, path, 0x202, "HdrS") ||
                      Has(tree, path, 0,
                          "\x7f"
                          "ELF") ||
                      Has(tree, path, 0x38, "ARM\x64");
  return kernel ? "" : "it is no kernel: neither bzImage nor ELF nor arm64 image";
}

std::string ImageProblem(const Tree& tree, const std::string& path) {
  const Partition root = ReadPartitions(tree, path)[0];
  if (root.start == 0) return "it is no guest image: it has no MS-DOS partition table";
  const bool erofs = Has(tree, path, root.start + 1024, "\xe2\xe1\xf5\xe0");
  const bool ext4 = Has(tree, path, root.start + 1080, "\x53\xef");
  const bool xfs = Has(tree, path, root.start, "XFSB");
  return erofs || ext4 || xfs ? "" : "its first partition has no file system that Kata mounts";
}

std::string FirmwareProblem(const Tree& tree, const std::string& path, const Entry& entry) {
  if (entry.size % 4096 != 0) return "it is no firmware: its size is no multiple of 4 KiB";
  return Has(tree, path, 0x28, "_FVH") ? "" : "it is no firmware: it has no volume header";
}

std::string ProblemOf(const Tree& tree, const std::string& key, const std::string& path,
                      const Entry& entry) {
  if (entry.kind != Kind::kFile) return fmt::format("it is a {}", ToString(entry.kind));
  if (entry.size == 0) return "it is empty";
  if (key == "kernel") return KernelProblem(tree, path);
  if (key == "image") return ImageProblem(tree, path);
  if (key == "firmware") return FirmwareProblem(tree, path, entry);
  const bool program = key == "path" || key == "runtime_path" || key == "virtio_fs_daemon";
  return program ? ProgramProblem(tree, path, entry) : "";
}

}  // namespace

std::string FollowLinks(const Tree& tree, std::string path) {
  for (int i = 0; i < 40; ++i) {
    const auto target = tree.Link(path);
    if (!target.ok()) return path;
    path = target->starts_with('/') ? *target : path.substr(0, path.rfind('/') + 1) + *target;
  }
  return path;
}

Artefact LookAtArtefact(const Tree& tree, const std::string& key, const std::string& path) {
  Artefact artefact{.key = key, .path = path, .target = FollowLinks(tree, path)};
  const auto entry = tree.Look(path);
  artefact.present = entry.status();
  if (!entry.ok()) return artefact;
  artefact.entry = *entry;
  artefact.problem = ProblemOf(tree, key, path, *entry);
  return artefact;
}

}  // namespace gpuhost::node_validator
