// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {

// An flock(2) on /run/nvidia/gpuhost/lock/<name>, held while the object lives. Whoever changes a
// device holds the lock named by its BDF, so that no two programs do so at once. The kernel drops
// it when the holder dies, so a crash leaves nothing behind.
//
// The directory is root's alone (0700), for whoever can open a lock can hold it. It lies where
// processes with fewer rights may write, so no link is followed to it, and nothing is written to a
// file that has another name elsewhere.
class FileLock {
 public:
  // Waits up to `limit` for another holder to end, a moment at least: also a program that was
  // killed leaves the lock to the child that is still writing for it. Then kUnavailable, naming the
  // holder; kFailedPrecondition where the file is none of ours; else the errno of the file.
  static absl::StatusOr<FileLock> Acquire(HostFs& fs, Clock& clock, std::string_view name,
                                          Duration limit);
  // Who holds it now: "process 812 (cc-manager)"; nothing when nobody does, or when that cannot be
  // asked. Waits for nobody.
  static std::optional<std::string> HeldBy(const HostFs& fs, std::string_view name);
  // Descriptors of those that this process holds and whose names are in `text`.
  static std::vector<int> NamedIn(std::string_view text);

 private:
  struct Held;
  explicit FileLock(std::unique_ptr<Held> held);

 public:
  FileLock(FileLock&&) noexcept;
  FileLock& operator=(FileLock&&) noexcept;
  ~FileLock();

 private:
  std::unique_ptr<Held> held_;
};

}  // namespace gpuhost
