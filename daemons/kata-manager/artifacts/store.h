// SPDX-License-Identifier: Apache-2.0
//
// Artefacts by their digests: <artifactsDir>/cas/sha256/<hex>, each whole and read-only. What is on
// its way is cas/partial/<hex>, and goes on where it stopped.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::artifacts {

// Bytes of the file system where the store is.
struct Space {
  uint64_t free = 0, total = 0;
};
using FindSpace = std::function<absl::StatusOr<Space>(const std::string& path)>;
// statvfs(3).
absl::StatusOr<Space> SpaceOf(const std::string& path);

// A blob that is being fetched. While it lives, no other process and no other thread writes to the
// same file.
class Partial {
 public:
  // What has come so far.
  uint64_t size() const { return size_; }
  // kResourceExhausted when the disk is full; kDataLoss when it grows beyond `wanted_size`.
  absl::Status Append(std::string_view bytes);
  // From the beginning.
  absl::Status Restart();

 private:
  friend class Store;
  UniqueFd fd_;
  uint64_t size_ = 0, wanted_size_ = 0;
  std::string path_;
};

// Blobs by their digests. Several may work on one directory, in one process or in many.
class Store {
 public:
  // `directory`: <artifactsDir>/cas. `stopping` ends waits and the reading of large files, which
  // fail with kCancelled then.
  Store(HostFs& fs, std::string directory, FindSpace find_space = SpaceOf, Stopping stopping = {})
      : fs_(fs),
        directory_(std::move(directory)),
        find_space_(std::move(find_space)),
        stopping_(std::move(stopping)) {}

  std::string PathOf(const std::string& digest) const;
  // Whether it is there, whole: what is found is read once in the life of this object, and removed
  // when it is not what its name says.
  absl::StatusOr<bool> Has(const std::string& digest);
  // What was read is no longer believed.
  void Distrust();
  // How much of it is there while it is on its way.
  uint64_t Arrived(const std::string& digest) const;

  // Goes on with what is there of it. Waits while another one fetches it: ask Has() afterwards.
  absl::StatusOr<Partial> Begin(const std::string& digest, uint64_t size);
  // Gives it its name, when what lies on the disk is what was wanted: it is read back. Else
  // kDataLoss, and it is thrown away.
  absl::Status Finish(const std::string& digest, Partial partial);
  // Throws away what came.
  void Discard(const std::string& digest);
  // A small blob that is in memory.
  absl::Status Put(const std::string& digest, std::string_view bytes);

  // kResourceExhausted when another `bytes` would leave less than a tenth of the disk free.
  absl::Status CheckSpace(uint64_t bytes) const;

 private:
  std::string PartialOf(const std::string& digest) const;
  absl::StatusOr<UniqueFd> OpenPartial(const std::string& path) const;

  HostFs& fs_;
  const std::string directory_;
  const FindSpace find_space_;
  const Stopping stopping_;
  std::mutex mutex_;
  std::set<std::string> checked_;
};

}  // namespace gpuhost::kata_manager::artifacts
