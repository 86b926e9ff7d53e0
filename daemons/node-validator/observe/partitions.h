// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "daemons/node-validator/observe/tree.h"

namespace gpuhost::node_validator {

// Bytes of a guest image.
struct Partition {
  off_t start = 0, size = 0;
};

// The first two of an image's MS-DOS partition table: the root file system, and the hashes of its
// blocks. Zeros where there is none. A header of 2 MiB, from which the guest maps the image
// directly, may be in front of the table; then the same table is there once more.
std::array<Partition, 2> ReadPartitions(const Tree& tree, const std::string& path);

}  // namespace gpuhost::node_validator
