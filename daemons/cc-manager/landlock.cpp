// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {
namespace {

constexpr uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kTruncate = 1u << 14;     // from the third version on
constexpr uint64_t kIoctlDevice = 1u << 15;  // from the fifth
constexpr uint64_t kScopes = 0b11;           // from the sixth: abstract sockets and signals
constexpr uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
constexpr uint64_t kOfFiles = kExecute | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlDevice;

struct RulesetAttributes {
  uint64_t files = 0;
  uint64_t network = 0;  // from the fourth version on
  uint64_t scoped = 0;   // from the sixth
};

size_t SizeFor(int version) { return version >= 6 ? 24 : version >= 4 ? 16 : 8; }

class Ruleset {
 public:
  absl::Status Make(const FileRights& rights) {
    const auto version = static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
    // EPERM is no answer of the kernel but of a system call filter.
    if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
      return absl::UnimplementedError("this kernel has no Landlock");
    }
    if (version < 0) return ErrnoStatus(errno, "ask for Landlock");
    handled_ = kWrite;
    if (version >= 3) handled_ |= kTruncate;
    if (version >= 5) handled_ |= kIoctlDevice;
    if (!rights.read_all) handled_ |= kRead | kExecute;
    const RulesetAttributes attributes{
        .files = handled_, .scoped = version >= 6 && !rights.signal_others ? kScopes : 0};
    fd_.Reset(
        static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, SizeFor(version), 0)));
    return fd_ ? absl::OkStatus() : ErrnoStatus(errno, "make a Landlock ruleset");
  }

  absl::Status Allow(const std::string& path, uint64_t rights) {
    const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!file && errno == ENOENT) return absl::OkStatus();
    struct stat found {};
    if (!file || ::fstat(file.get(), &found) != 0) {
      return ErrnoStatus(errno, fmt::format("open {}", path));
    }
    rights &= handled_ & (S_ISDIR(found.st_mode) ? UINT64_MAX : kOfFiles);
    if (rights == 0) return absl::OkStatus();
    const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = file.get()};
    if (::syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
      return absl::OkStatus();
    }
    return ErrnoStatus(errno, fmt::format("allow what is below {}", path));
  }

  absl::Status Enforce() {
    if (::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "enforce a Landlock ruleset");
  }

 private:
  uint64_t handled_ = 0;
  UniqueFd fd_;
};

}  // namespace

absl::Status RestrictFiles(const FileRights& rights) {
  Ruleset ruleset;
  GPUHOST_TRY(ruleset.Make(rights));
  GPUHOST_TRY(ruleset.Allow("/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kRead));
  for (const std::string& path : rights.write) {
    GPUHOST_TRY(ruleset.Allow(path, kWrite | kTruncate | kRead));
  }
  for (const std::string& path : rights.read) GPUHOST_TRY(ruleset.Allow(path, kRead));
  return ruleset.Enforce();
}

}  // namespace gpuhost::cc_manager
