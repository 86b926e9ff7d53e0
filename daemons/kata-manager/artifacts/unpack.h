// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <string>

#include "daemons/kata-manager/tree.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::artifacts {

struct UnpackWishes {
  // What the archive may become. Holes in files count as if they were written: who reads the file
  // later reads them, too.
  uint64_t bytes = uint64_t{64} << 30;
  uint64_t entries = 100'000;
  // Where all entries are this directory or below it, it is taken off their names, as `oras pull`
  // (1.2) does with what `oras push` has packed from a directory. Empty: never.
  std::string prefix;
  // SHA-256 of the archive without its compression, 64 digits; empty: nobody has said.
  std::string content_digest;
  // Asked before each piece: an error ends it. For SIGTERM, and a disk that fills up.
  std::function<absl::Status()> go_on = [] { return absl::OkStatus(); };
};

// Unpacks a tar archive, compressed or not, into `directory` of `tree`, which is made. Files and
// directories only, and links that stay inside; nobody's but root's, no setuid bits. The bytes that
// it became. kDataLoss names the entry that is anything else or leaves the directory, and an
// archive that is broken, too large, or not what its digest says; what was unpacked until then is
// left to the caller. The archive is opened by its path in `fs`.
absl::StatusOr<uint64_t> Unpack(const HostFs& fs, const std::string& archive, const Tree& tree,
                                const std::string& directory, const UnpackWishes& wishes = {});

}  // namespace gpuhost::kata_manager::artifacts
