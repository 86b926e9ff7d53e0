// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/verity.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <sstream>
#include <utility>

#include "daemons/node-validator/observe/partitions.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr size_t kDigest = 32;
constexpr size_t kPiece = 1 << 20;  // read at a time; no block is larger

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(ParseHex(std::string_view(hex).substr(i, 2)).value_or(0));
  }
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

bool IsHex(const std::string& text) {
  return !text.empty() && text.size() % 2 == 0 &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
}

// SHA-256 of blocks with one salt before each.
class Hasher {
 public:
  explicit Hasher(const std::string& salt)
      : salted_(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free),
        work_(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free) {
    ::EVP_DigestInit_ex(salted_.get(), ::EVP_sha256(), nullptr);
    ::EVP_DigestUpdate(salted_.get(), salt.data(), salt.size());
  }
  std::string operator()(std::string_view block) const {
    std::string digest(kDigest, '\0');
    ::EVP_MD_CTX_copy_ex(work_.get(), salted_.get());
    ::EVP_DigestUpdate(work_.get(), block.data(), block.size());
    ::EVP_DigestFinal_ex(work_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
  }

 private:
  using Context = std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)>;
  Context salted_, work_;
};

// Makes `piece` what is at `offset`, up to `size` bytes; fewer where the file ends.
absl::Status ReadPiece(const UniqueFd& fd, off_t offset, size_t size, std::string& piece) {
  piece.resize(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t got =
        ::pread(fd.get(), piece.data() + have, size - have, offset + static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("read the image at {}", offset));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  piece.resize(have);
  return absl::OkStatus();
}

// Made from the digests of the data blocks one by one, and compared with what the image has. Of
// each level one block is kept.
class HashTree {
 public:
  HashTree(const UniqueFd& image, off_t start, const Verity& verity, const Hasher& hash)
      : image_(image),
        start_(start),
        data_blocks_(verity.data_blocks),
        block_(verity.hash_block_size),
        hash_(hash) {
    std::vector<uint64_t> sizes;
    for (uint64_t size = verity.data_blocks; size > 1;) {
      size = (size + PerBlock() - 1) / PerBlock();
      sizes.push_back(size);
    }
    levels_.resize(sizes.size());
    uint64_t at = 0;
    for (size_t i = sizes.size(); i > 0; --i) {
      levels_[i - 1].first = at;
      at += sizes[i - 1];
    }
  }

  absl::Status Add(const std::string& digest) { return AddTo(0, digest); }

  absl::StatusOr<ImageHash> Finish() {
    for (size_t i = 0; i < levels_.size(); ++i) {
      if (!levels_[i].pending.empty()) GPUHOST_TRY(Close(i));
    }
    return ImageHash{ToHex(root_), differs_};
  }

 private:
  struct Level {
    uint64_t first = 0;   // its place in the tree, in blocks
    uint64_t closed = 0;  // blocks
    std::string pending;  // digests of the block to come
  };

  uint64_t PerBlock() const { return block_ / kDigest; }

  absl::Status AddTo(size_t level, const std::string& digest) {
    if (level == levels_.size()) {
      root_ = digest;
      return absl::OkStatus();
    }
    levels_[level].pending += digest;
    return levels_[level].pending.size() == PerBlock() * kDigest ? Close(level) : absl::OkStatus();
  }

  absl::Status Close(size_t number) {
    Level& level = levels_[number];
    std::string block = std::exchange(level.pending, "");
    block.resize(block_);
    GPUHOST_TRY(Compare(number, block));
    ++level.closed;
    return AddTo(number + 1, hash_(block));
  }

  absl::Status Compare(size_t number, const std::string& block) {
    if (!differs_.empty()) return absl::OkStatus();
    const uint64_t index = levels_[number].closed;
    const auto place = static_cast<off_t>((levels_[number].first + index) * block_);
    GPUHOST_TRY(ReadPiece(image_, start_ + place, block_, there_));
    const auto differs = std::ranges::mismatch(block, there_).in1;
    if (differs == block.end()) return absl::OkStatus();
    const uint64_t child =
        index * PerBlock() + static_cast<uint64_t>(differs - block.begin()) / kDigest;
    const bool of_data = number == 0 && child < data_blocks_ && there_.size() == block_;
    differs_ = of_data ? fmt::format("data block {}", child)
                       : fmt::format("hash block {} of level {}", index, number);
    return absl::OkStatus();
  }

  const UniqueFd& image_;
  const off_t start_;
  const uint64_t data_blocks_, block_;
  const Hasher& hash_;
  std::vector<Level> levels_;  // the one above the data first; none above a single block
  std::string root_, differs_;
  std::string there_;  // the image's block, read anew for each
};

bool IsPowerOfTwo(uint64_t number) { return number != 0 && (number & (number - 1)) == 0; }

}  // namespace

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
  verity.root_hash = ToHex(FromHex(verity.root_hash));
  if (verity.data_blocks == 0) return absl::InvalidArgumentError("data_blocks is missing");
  for (const uint64_t size : {verity.data_block_size, verity.hash_block_size}) {
    if (size == 0 || size % 512 != 0 || size > kPiece) {
      return absl::InvalidArgumentError("block sizes must be multiples of 512");
    }
  }
  return verity;
}

absl::Status CompareTop(const Tree& tree, const std::string& image, const Verity& verity) {
  const Partition hashes = ReadPartitions(tree, image)[1];
  if (hashes.start == 0) return absl::UnavailableError("the image has no partition with hashes");
  const auto top = tree.ReadAt(image, hashes.start, verity.hash_block_size);
  if (!top.ok()) return Error(absl::StatusCode::kUnavailable, "{}", Text(top.status()));
  const std::string hash = ToHex(Hasher(FromHex(verity.salt))(*top));
  if (hash == verity.root_hash) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss,
               "its hash tree begins {}..., the configuration says {}...", hash.substr(0, 12),
               verity.root_hash.substr(0, 12));
}

absl::StatusOr<ImageHash> HashImage(const Tree& tree, const std::string& image,
                                    const Verity& verity) {
  const uint64_t block = verity.data_block_size;
  for (const uint64_t size : {block, verity.hash_block_size}) {
    if (IsPowerOfTwo(size) && size >= 512 && size <= kPiece) continue;
    return Error(absl::StatusCode::kInvalidArgument,
                 "a block size of {}, where dm-verity takes powers of two", size);
  }
  const auto [data, hashes] = ReadPartitions(tree, image);
  if (hashes.start == 0) return absl::UnavailableError("the image has no partition with hashes");
  const auto ends = [&](uint64_t blocks) {
    return Error(absl::StatusCode::kDataLoss, "it has {} data blocks, the configuration says {}",
                 blocks, verity.data_blocks);
  };
  const uint64_t room = static_cast<uint64_t>(data.size) / block;
  if (room < verity.data_blocks) return ends(room);

  GPUHOST_ASSIGN(const UniqueFd fd, tree.OpenFile(image));
  const Hasher hash(FromHex(verity.salt));
  HashTree hash_tree(fd, hashes.start, verity, hash);
  std::string piece;
  for (uint64_t done = 0; done < verity.data_blocks;) {
    const uint64_t count = std::min(verity.data_blocks - done, kPiece / block);
    const off_t offset = data.start + static_cast<off_t>(done * block);
    GPUHOST_TRY(ReadPiece(fd, offset, count * block, piece));
    if (piece.size() < count * block) return ends(done + piece.size() / block);
    for (uint64_t i = 0; i < count; ++i) {
      GPUHOST_TRY(hash_tree.Add(hash(std::string_view(piece).substr(i * block, block))));
    }
    done += count;
  }
  return hash_tree.Finish();
}

}  // namespace gpuhost::node_validator
