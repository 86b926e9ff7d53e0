// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>
#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::vfio {

struct OpenDevice {
  int pid = 0;
  dev_t number = 0;
};

struct OpenDevices {
  std::vector<OpenDevice> found;  // in the order of /proc; a process may be there more than once
  // OK: all processes of the machine were seen. Otherwise `found` is what was seen until then:
  //   kNotFound            no /proc, or none that can be read
  //   kFailedPrecondition  it belongs to a PID namespace of its own, or hides processes (hidepid)
  //   kPermissionDenied    some processes do not show their files; the text says what is missing
  //   kDeadlineExceeded    a file system did not answer within the limit
  absl::Status complete;
};

// Which processes have character devices of these numbers open, by the proc file system at `proc`.
//
// The number alone decides: what a file is called, and where it lies, is up to whoever opened it,
// and a container has its nodes under other paths. Numbers are asked of the kernel's memory
// (AT_STATX_DONT_SYNC), so that files of a server that is away (NFS, FUSE) cost nothing; a file
// system that nevertheless does not answer is left waiting in a thread after `limit` of real time,
// one at most. A process whose first thread has ended is seen by its other threads; descriptors
// that one thread has for itself (CLONE_FILES unset), or that travel in a socket, are not seen.
// Source: Linux, fs/proc/fd.c, fs/nfs/inode.c (nfs_getattr), fs/fuse/dir.c (fuse_update_get_attr).
OpenDevices FindOpenDevices(const std::string& proc, std::set<dev_t> wanted, Duration limit);

}  // namespace gpuhost::vfio
