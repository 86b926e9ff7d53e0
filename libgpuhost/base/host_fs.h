// SPDX-License-Identifier: Apache-2.0
//
// The only way to the file system of the node. Every path is absolute ("/sys/bus/pci/devices") and
// is looked up below a root: "/" on bare metal, "/host" in a container, a directory of a test.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {

class HostFs {
 public:
  explicit HostFs(std::string root = "/");
  virtual ~HostFs() = default;
  HostFs(const HostFs&) = delete;
  HostFs& operator=(const HostFs&) = delete;

  // The path as the running process must name it.
  std::string Resolve(std::string_view path) const;

  // Reading. kNotFound where nothing is there, kPermissionDenied, or the class of the errno.
  // The whole file; kResourceExhausted above 4 MiB, kFailedPrecondition for no regular file.
  virtual absl::StatusOr<std::string> Read(std::string_view path) const;
  // A one-line attribute without its newline.
  absl::StatusOr<std::string> ReadAttribute(std::string_view path) const;
  // The same in a child process, for attributes whose reading waits in the kernel for whoever has
  // the device locked. kDeadlineExceeded after `limit`; that child is left behind.
  virtual absl::StatusOr<std::string> ReadWithin(Duration limit, std::string_view path) const;
  // What a symbolic link points to, as it stands in the link.
  absl::StatusOr<std::string> ReadLink(std::string_view path) const;
  // Last component of what a symbolic link points to ("vfio-pci" for a driver link).
  absl::StatusOr<std::string> LinkName(std::string_view path) const;
  // "236:1", major and minor number of the character device at the end of all links; kNotFound when
  // something else is there.
  absl::StatusOr<std::string> CharacterDevice(std::string_view path) const;
  // Names in a directory, sorted, without "." and "..".
  absl::StatusOr<std::vector<std::string>> List(std::string_view path) const;
  // The same of those in which the file `attribute` begins with `text`: of thousands of devices
  // quicker than by their whole paths.
  absl::StatusOr<std::vector<std::string>> ListWith(std::string_view path,
                                                    std::string_view attribute,
                                                    std::string_view text) const;
  bool Exists(std::string_view path) const;
  // open(2) with O_CLOEXEC. Never creates.
  absl::StatusOr<UniqueFd> Open(std::string_view path, int flags) const;

  // Writes a kernel attribute: one write(2) of the whole text to a file that must exist.
  // The errno of the driver comes back: kFailedPrecondition for EBUSY, kNotFound for ENODEV, ...
  virtual absl::Status Write(std::string_view path, std::string_view text);
  // The same in a child process, for attributes whose write can block in the kernel for ever
  // (unbind and reset of a device in use). After `limit` the child is abandoned, for a task that
  // sleeps uninterruptibly cannot be killed, and the answer is kDeadlineExceeded.
  virtual absl::Status WriteWithin(Duration limit, std::string_view path, std::string_view text);
  // Whether such a child of this process is still in the kernel, from a write with `name` in its
  // path or text.
  virtual bool IsLeftBehind(std::string_view name) const;
  // Bytes of a binary attribute such as PCI `config`; short transfers are errors (kOutOfRange).
  virtual absl::StatusOr<std::string> ReadAt(std::string_view path, off_t offset,
                                             size_t count) const;
  // The same in a child process, as ReadWithin.
  virtual absl::StatusOr<std::string> ReadAtWithin(Duration limit, std::string_view path,
                                                   off_t offset, size_t count) const;
  virtual absl::Status WriteAt(std::string_view path, off_t offset, std::string_view bytes);

  // Ordinary files and directories. Below /run/nvidia no link on the way is followed, see
  // OpenDirectory.
  // Readers see the old file or the whole new one, also after a power cut, see ReplaceFile. A file
  // that is replaced keeps its owner and its SELinux label.
  virtual absl::Status WriteFileAtomic(std::string_view path, std::string_view bytes, mode_t mode);
  // Removes a file; OK where there is none.
  virtual absl::Status Remove(std::string_view path);
  // rename(2) of a file or a directory, there also after a power cut.
  virtual absl::Status Rename(std::string_view from, std::string_view to);
  // Makes `path` a symbolic link to `target`, or points one that is there to it, in one step.
  virtual absl::Status ReplaceLink(std::string_view path, std::string_view target);
  // Another name for a file. kAlreadyExists where `path` is there already.
  virtual absl::Status HardLink(std::string_view file, std::string_view path);
  // rm -rf, following no links; OK where there is nothing.
  virtual absl::Status RemoveTree(std::string_view path);
  // mkdir -p, mode 0755.
  absl::Status MakeDirectories(std::string_view path);
  // The same, opened (O_PATH), for calls relative to it.
  absl::StatusOr<UniqueFd> Directory(std::string_view path);
  // The same of one that nobody else may enter: mode 0700, also where it was there before with
  // another. kFailedPrecondition where it is somebody else's.
  absl::StatusOr<UniqueFd> PrivateDirectory(std::string_view path);

 private:
  struct Entry;
  absl::StatusOr<Entry> EntryOf(std::string_view path) const;

  std::string root_;  // without a trailing slash; empty for "/"
};

}  // namespace gpuhost
