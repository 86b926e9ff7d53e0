// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/artefact.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr off_t kSector = 512;

uint32_t Word(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

bool Has(const Tree& tree, const std::string& path, off_t offset, std::string_view bytes) {
  const auto found = tree.ReadAt(path, offset, bytes.size());
  return found.ok() && *found == bytes;
}

struct Partition {
  off_t start = 0, size = 0;
};

// Two entries of an MS-DOS partition table. A header of 2 MiB, from which the guest maps the image
// directly, may be in front of it; then the same table is there once more.
std::array<Partition, 2> ReadPartitions(const Tree& tree, const std::string& path) {
  std::array<Partition, 2> partitions{};
  const auto table = tree.ReadAt(path, 446, 66);
  if (!table.ok() || !table->ends_with("\x55\xaa")) return partitions;
  for (size_t i = 0; i < partitions.size(); ++i) {
    partitions.at(i) = {Word(*table, i * 16 + 8) * kSector, Word(*table, i * 16 + 12) * kSector};
  }
  return partitions;
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

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(ParseHex(std::string_view(hex).substr(i, 2)).value_or(0));
  }
  return bytes;
}

std::string Sha256(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  ::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest.at(i));
  return hex;
}

bool IsHex(const std::string& text) {
  return !text.empty() && text.size() % 2 == 0 &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
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

absl::StatusOr<Verity> ParseVerity(const std::string& text) {
  Verity verity;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Error(absl::StatusCode::kInvalidArgument, "'{}' is no key=value", word);
    }
    const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    const auto number = ParseDecimal(value, 1u << 30);
    if (key == "root_hash") verity.root_hash = value;
    if (key == "salt") verity.salt = value;
    if (key == "data_blocks") verity.data_blocks = number.value_or(0);
    if (key == "data_block_size") verity.data_block_size = number.value_or(0);
    if (key == "hash_block_size") verity.hash_block_size = number.value_or(0);
  }
  if (!IsHex(verity.root_hash) || !IsHex(verity.salt)) {
    return absl::InvalidArgumentError("root_hash and salt must be hexadecimal");
  }
  if (verity.data_blocks == 0) return absl::InvalidArgumentError("data_blocks is missing");
  for (const uint64_t size : {verity.data_block_size, verity.hash_block_size}) {
    if (size == 0 || size % 512 != 0 || size > (1u << 20)) {
      return absl::InvalidArgumentError("block sizes must be multiples of 512");
    }
  }
  return verity;
}

absl::Status CompareVerity(const Tree& tree, const std::string& image, const Verity& verity) {
  const Partition hashes = ReadPartitions(tree, image)[1];
  if (hashes.start == 0) return absl::UnavailableError("the image has no partition with hashes");
  const auto top = tree.ReadAt(image, hashes.start, verity.hash_block_size);
  if (!top.ok()) return Error(absl::StatusCode::kUnavailable, "{}", Text(top.status()));
  const std::string hash = Sha256(FromHex(verity.salt) + *top);
  if (hash == verity.root_hash) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss,
               "its hash tree begins {}..., the configuration says {}...", hash.substr(0, 12),
               verity.root_hash.substr(0, 12));
}

}  // namespace gpuhost::node_validator
