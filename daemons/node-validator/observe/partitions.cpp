// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/partitions.h"

namespace gpuhost::node_validator {
namespace {

constexpr off_t kSector = 512;

uint32_t Word(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

}  // namespace

std::array<Partition, 2> ReadPartitions(const Tree& tree, const std::string& path) {
  std::array<Partition, 2> partitions{};
  const auto table = tree.ReadAt(path, 446, 66);
  if (!table.ok() || !table->ends_with("\x55\xaa")) return partitions;
  for (size_t i = 0; i < partitions.size(); ++i) {
    partitions.at(i) = {Word(*table, i * 16 + 8) * kSector, Word(*table, i * 16 + 12) * kSector};
  }
  return partitions;
}

}  // namespace gpuhost::node_validator
