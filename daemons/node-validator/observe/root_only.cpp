// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/root_only.h"

#include <sys/stat.h>

#include <deque>
#include <sstream>

#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr int kMostLinks = 40;  // as the kernel's

void Split(const std::string& path, std::deque<std::string>& parts) {
  std::istringstream text(path);
  std::deque<std::string> found;
  for (std::string part; std::getline(text, part, '/');) {
    if (!part.empty() && part != ".") found.push_back(part);
  }
  parts.insert(parts.begin(), found.begin(), found.end());
}

absl::Status CheckOwner(const struct stat& is, const std::string& path) {
  if (is.st_uid != 0) {
    return Error(absl::StatusCode::kPermissionDenied, "{} belongs to user {}, not to root", path,
                 is.st_uid);
  }
  if ((is.st_mode & 0022) != 0) {
    return Error(absl::StatusCode::kPermissionDenied, "others than root can write to {}", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<struct stat> Stat(const HostFs& fs, const std::string& path) {
  struct stat is {};
  if (::lstat(fs.Resolve(path).c_str(), &is) != 0) {
    return ErrnoStatus(errno, fmt::format("stat {}", path));
  }
  return is;
}

}  // namespace

absl::Status RootOnly(const HostFs& fs, const std::string& path) {
  if (!path.starts_with('/')) {
    return Error(absl::StatusCode::kInvalidArgument, "'{}' is no absolute path", path);
  }
  std::deque<std::string> parts;
  Split(path, parts);
  std::string real;  // has no links
  mode_t mode = S_IFDIR;
  GPUHOST_ASSIGN(const struct stat root, Stat(fs, "/"));
  GPUHOST_TRY(CheckOwner(root, "/"));
  for (int links = 0; !parts.empty();) {
    const std::string part = parts.front();
    parts.pop_front();
    if (part == "..") {
      real.erase(real.empty() ? 0 : real.rfind('/'));
      mode = S_IFDIR;
      continue;
    }
    const std::string next = real + "/" + part;
    GPUHOST_ASSIGN(const struct stat is, Stat(fs, next));
    if (S_ISLNK(is.st_mode)) {
      if (++links > kMostLinks) return ErrnoStatus(ELOOP, fmt::format("follow {}", path));
      GPUHOST_ASSIGN(const std::string target, fs.ReadLink(next));
      if (target.starts_with('/')) real.clear();
      Split(target, parts);
      continue;
    }
    GPUHOST_TRY(CheckOwner(is, next));
    real = next;
    mode = is.st_mode;
  }
  if (!S_ISREG(mode) || (mode & 0111) == 0) {
    return Error(absl::StatusCode::kPermissionDenied, "{} is no program", path);
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::node_validator
