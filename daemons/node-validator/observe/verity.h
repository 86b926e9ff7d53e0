// SPDX-License-Identifier: Apache-2.0
//
// dm-verity: the guest's kernel verifies each block of its image by a tree of SHA-256 hashes, whose
// root the configuration has. Format 1, the salt before each block, no superblock: the tree begins
// with the second partition, its top first.
// Sources: Linux, dm-verity.rst; Kata Containers, virtcontainers/kernel_verity.go.
#pragma once

#include "daemons/node-validator/observe/tree.h"

namespace gpuhost::node_validator {

struct Verity {
  std::string root_hash, salt;  // hexadecimal, the hash in small digits
  uint64_t data_blocks = 0, data_block_size = 0, hash_block_size = 0;
};
// The words of kernel_verity_params and verity_params. kInvalidArgument for what Kata refuses.
absl::StatusOr<Verity> ParseVerity(const std::string& text);

// Compares the top block of the tree with the root hash: another image has another one. kDataLoss
// when it differs, kUnavailable when the image has no second partition or cannot be read there.
absl::Status CompareTop(const Tree& tree, const std::string& image, const Verity& verity);

// What the blocks of an image are now.
struct ImageHash {
  std::string root;  // of the tree that they make
  // The first of which the tree in the image says something else: "data block 17" or "hash block 2
  // of level 1", counted from 0; empty: there is none.
  std::string differs;
};

// Reads all of the image's two partitions, in pieces of 1 MiB, and makes the tree anew. Of `verity`
// the root hash is not needed.
//   kInvalidArgument  block sizes that dm-verity does not take
//   kDataLoss         the first partition has fewer blocks than data_blocks
//   kUnavailable      no second partition
//   else as Tree::OpenFile
absl::StatusOr<ImageHash> HashImage(const Tree& tree, const std::string& image,
                                    const Verity& verity);

}  // namespace gpuhost::node_validator
