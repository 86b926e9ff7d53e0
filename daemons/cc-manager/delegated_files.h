// SPDX-License-Identifier: Apache-2.0
//
// The side that talks to an API server is no root, and root's are the credentials that it reads and
// the documents that it writes. A process of root's without any capability does that for it: it
// opens and replaces the files that are named here, and no others, whoever asks.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// Whole paths, each compared letter by letter.
struct DelegatedFiles {
  std::vector<std::string> own;       // read, in this program's own file system: credentials
  std::vector<std::string> node;      // read, below the node's root: locks of other daemons
  std::vector<std::string> replaced;  // on the node: read, replaced (mode 0644) and removed
};

// A way to that process. Safe to use from many threads. A process that has lost it can neither
// learn nor tell anything any more, and ends with kFailed.
class FilesProcess {
 public:
  // Starts it. Call before the first thread starts.
  static absl::StatusOr<std::shared_ptr<FilesProcess>> Fork(const std::string& root,
                                                            const DelegatedFiles& files);

  enum class Call : char { kOpenOwn = 'o', kOpenNode = 'n', kReplace = 'w', kRemove = 'd' };
  // What is opened can be read. kPermissionDenied: it is none of the files, or not for that.
  absl::StatusOr<UniqueFd> Ask(Call call, const std::string& path, std::string_view bytes = {});

  const DelegatedFiles& files() const { return files_; }

 private:
  FilesProcess(DelegatedFiles files, UniqueFd socket)
      : files_(std::move(files)), socket_(std::move(socket)) {}

  const DelegatedFiles files_;
  std::mutex mutex_;
  UniqueFd socket_;
};

// Files as they are, but for those: FilesProcess opens and replaces them.
class DelegatedFs : public HostFs {
 public:
  enum class Of { kOwn, kNode };
  DelegatedFs(std::string root, Of of, std::shared_ptr<FilesProcess> process)
      : HostFs(std::move(root)), of_(of), process_(std::move(process)) {}

  absl::StatusOr<UniqueFd> Open(std::string_view path, int flags) const override;
  absl::Status WriteFileAtomic(std::string_view path, std::string_view bytes, mode_t mode) override;
  absl::Status Remove(std::string_view path) override;

 private:
  const Of of_;
  const std::shared_ptr<FilesProcess> process_;
};

}  // namespace gpuhost::cc_manager
