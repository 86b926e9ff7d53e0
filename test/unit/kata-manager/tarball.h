// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gpuhost::test {

struct TarEntry {
  std::string name;  // in UTF-8
  std::string bytes;
  unsigned type = AE_IFREG;
  unsigned mode = 0644;
  std::string link = {};  // target
  bool hard = false;
  uint64_t size = 0;  // larger than the bytes: what is missing is a hole
};

// A pax archive, compressed by gzip.
void WriteTar(const std::string& path, const std::vector<TarEntry>& entries);

}  // namespace gpuhost::test
