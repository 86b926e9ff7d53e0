// SPDX-License-Identifier: Apache-2.0
//
// The node's files, read so that nothing in them can hurt: never a FIFO or a device, never more
// than asked for, links followed without leaving the root. The same for a live node and for one
// that was captured: see docs/validation.md.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::node_validator {

enum class Kind { kFile, kDirectory, kCharacterDevice, kBlockDevice, kSocket, kFifo };
std::string_view ToString(Kind kind);

// What is at the end of all links.
struct Entry {
  Kind kind = Kind::kFile;
  mode_t mode = 0;
  uid_t uid = 0;
  off_t size = 0;
  int64_t modified = 0;  // seconds since 1970
  std::string device;    // "10:232" of a device node
};

class Tree {
 public:
  static constexpr size_t kMaxFile = 1u << 20;

  explicit Tree(const HostFs& fs);

  // A captured node; in a live one things can be asked that no file says.
  bool captured() const { return captured_; }

  // Errors: kNotFound, kPermissionDenied, kFailedPrecondition for what is no regular file,
  // kResourceExhausted for more than `limit` bytes; else the class of the errno.
  absl::StatusOr<std::string> Read(std::string_view path, size_t limit = kMaxFile) const;
  // The first line.
  absl::StatusOr<std::string> ReadLine(std::string_view path) const;
  // Exactly `count` bytes at `offset`; kOutOfRange where the file is shorter.
  absl::StatusOr<std::string> ReadAt(std::string_view path, off_t offset, size_t count) const;
  // For reading what is too large to be kept; it does not count as seen. Errors as Read.
  absl::StatusOr<UniqueFd> OpenFile(std::string_view path) const;
  absl::StatusOr<Entry> Look(std::string_view path) const;
  // Names in a directory, sorted.
  absl::StatusOr<std::vector<std::string>> List(std::string_view path) const;
  // What a link says, not followed.
  absl::StatusOr<std::string> Link(std::string_view path) const;
  bool Exists(std::string_view path) const { return Look(path).ok(); }

  const HostFs& fs() const { return fs_; }

  // What was looked at, for a bundle that shows the same to somebody else.
  struct Seen {
    bool whole = false;                  // Read or ReadLine
    std::vector<std::string> names;      // List
    std::map<off_t, std::string> parts;  // ReadAt
  };
  const std::map<std::string, Seen, std::less<>>& seen() const { return seen_; }

 private:
  struct Stub;  // stands for what a captured tree cannot hold
  absl::StatusOr<UniqueFd> Open(std::string_view path, int flags) const;
  absl::StatusOr<Stub> ReadStub(std::string_view path) const;
  Seen& Note(std::string_view path) const;

  const HostFs& fs_;
  bool captured_ = false;
  UniqueFd root_;
  mutable std::map<std::string, Seen, std::less<>> seen_;
};

// The directory in a captured tree that holds what is no file of the node.
inline constexpr std::string_view kCapture = "/.gpuhost-capture";

// The text that stands in a captured tree for a node of another kind, or for a file of which parts
// were kept: a first line, then "key value" lines and "at OFFSET HEX" lines.
std::string RenderStub(const Entry& entry, const std::map<off_t, std::string>& parts);

}  // namespace gpuhost::node_validator
