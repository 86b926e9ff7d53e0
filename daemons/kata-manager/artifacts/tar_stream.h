// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>
#include <archive.h>

#include <functional>
#include <memory>
#include <string>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::artifacts {

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using ArchiveReader = std::unique_ptr<archive, FreeReader>;

// A tar archive that is read once, from its beginning to its end: gzip, xz and zstd are undone on
// the way, and SHA-256 taken of what they hide.
class TarStream {
 public:
  // `go_on` is asked before each piece; at most `limit` bytes are uncompressed.
  static absl::StatusOr<std::unique_ptr<TarStream>> Open(const HostFs& fs, const std::string& path,
                                                         uint64_t limit,
                                                         std::function<absl::Status()> go_on);

  // For archive_read_next_header and the like.
  archive* reader() { return tar_.get(); }
  // Why the reader failed: what go_on said, kDataLoss with the reader's own words, or the errno's
  // class where the file could not be read.
  absl::Status Failure() const;
  // Reads what is behind the archive's end, and gives the digest of all.
  absl::StatusOr<std::string> DigestOfAll();

 private:
  TarStream(std::string path, uint64_t limit, std::function<absl::Status()> go_on)
      : path_(std::move(path)), left_(limit), go_on_(std::move(go_on)) {}
  absl::Status OpenReaders(const HostFs& fs);
  // The next uncompressed piece; empty at the end.
  absl::StatusOr<std::string_view> Next();
  static la_ssize_t Read(archive* reader, void* self, const void** bytes);

  const std::string path_;
  uint64_t left_;
  const std::function<absl::Status()> go_on_;
  Sha256 digest_;
  UniqueFd fd_;
  ArchiveReader raw_, tar_;
  absl::Status failure_;  // of Next
};

}  // namespace gpuhost::kata_manager::artifacts
