// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

// Rights of the first version of Landlock, which every later kernel knows; reading stays free.
constexpr uint64_t kFileRights = LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr uint64_t kRights = kFileRights | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

// glibc has no wrappers. Source: Documentation/userspace-api/landlock.rst.
int CreateRuleset(const landlock_ruleset_attr& attributes) {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
}

absl::Status AllowWrites(int ruleset, const std::string& path, uint64_t rights) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, fmt::format("open {}", path));
  const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = fd.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, fmt::format("allow writes below {}", path));
}

absl::Status RestrictFiles(std::span<const std::string> directories) {
  const UniqueFd ruleset(CreateRuleset({.handled_access_fs = kRights}));
  // EPERM is no answer of the kernel but of a system call filter.
  if (!ruleset && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
    service::Log(service::Level::kDebug, "no Landlock here; files are not confined");
    return absl::OkStatus();
  }
  if (!ruleset) return ErrnoStatus(errno, "make a Landlock ruleset");
  GPUHOST_TRY(AllowWrites(ruleset.get(), "/dev/null", kFileRights));
  for (const std::string& directory : directories) {
    GPUHOST_TRY(AllowWrites(ruleset.get(), directory, kRights));
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "enforce a Landlock ruleset");
}

// Those of `kept` that the process has stay; all others are gone, also for programs that it starts.
absl::Status KeepCapabilities(std::initializer_list<unsigned> kept) {
  uint64_t mask = 0;
  for (const unsigned capability : kept) mask |= uint64_t{1} << capability;
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    // Without CAP_SETPCAP the bounding set stays, which no_new_privs makes harmless.
    if ((mask >> capability & 1) == 0) ::prctl(PR_CAPBSET_DROP, capability);
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) != 0) return ErrnoStatus(errno, "read capabilities");
  for (unsigned half = 0; half < _LINUX_CAPABILITY_U32S_3; ++half) {
    const auto part = static_cast<uint32_t>(mask >> (32 * half));
    sets[half].permitted &= part;
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "drop capabilities");
}

absl::Status DropPrivileges(std::initializer_list<unsigned> kept) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "no_new_privs");
  return KeepCapabilities(kept);
}

}  // namespace

absl::Status ConfineApiSide(HostFs& fs, const std::string& readiness) {
  std::vector<std::string> directories;
  for (const std::string& directory : {std::string(service::kStatusDirectory), readiness}) {
    if (directory.empty()) continue;
    GPUHOST_TRY(fs.MakeDirectories(directory));
    directories.push_back(fs.Resolve(directory));
  }
  GPUHOST_TRY(DropPrivileges({}));
  return RestrictFiles(directories);
}

absl::Status ConfineHardwareSide() {
  return DropPrivileges({CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH});
}

}  // namespace gpuhost::cc_manager
