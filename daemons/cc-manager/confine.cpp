// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/confine.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "daemons/cc-manager/landlock.h"
#include "daemons/cc-manager/system_calls.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

// What libcurl and the resolver of glibc read.
constexpr const char* kSystemReads[] = {"/usr",
                                        "/lib",
                                        "/lib64",
                                        "/etc",
                                        "/run/systemd/resolve",
                                        "/run/NetworkManager",
                                        "/run/resolvconf",
                                        "/dev/urandom",
                                        "/proc/sys"};

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

// Another user takes all capabilities with it. The parent's death must still be ours: prctl(2),
// PR_SET_PDEATHSIG.
absl::Status BecomeUser(uid_t user) {
  int signal = 0;
  const pid_t parent = ::getppid();
  ::prctl(PR_GET_PDEATHSIG, &signal);
  const auto group = static_cast<gid_t>(user);
  if (::setgroups(0, nullptr) != 0 || ::setresgid(group, group, group) != 0 ||
      ::setresuid(user, user, user) != 0) {
    return ErrnoStatus(errno, fmt::format("become user {}", user));
  }
  ::prctl(PR_SET_PDEATHSIG, signal);
  if (signal != 0 && ::getppid() != parent) ::_exit(service::kFailed);
  return absl::OkStatus();
}

// Warns where a kernel has no Landlock.
absl::Status Restrict(const FileRights& rights) {
  const absl::Status status = RestrictFiles(rights);
  if (!absl::IsUnimplemented(status)) return status;
  service::Log(service::Level::kWarning, "files are not confined, going on", {{"error", status}});
  return absl::OkStatus();
}

}  // namespace

absl::Status ConfineApiSide(const ApiSide& side) {
  if (side.user && ::geteuid() == 0) {
    const absl::Status changed = BecomeUser(*side.user);
    if (absl::IsPermissionDenied(changed)) {
      service::Log(service::Level::kWarning,
                   "the side that talks to the API server stays root; give CAP_SETUID, CAP_SETGID "
                   "and CAP_KILL",
                   {{"error", changed}});
    } else {
      GPUHOST_TRY(changed);
    }
  }
  GPUHOST_TRY(DropPrivileges({}));
  FileRights rights{.read = side.reads, .read_all = side.runs_plugin};
  rights.read.insert(rights.read.end(), std::begin(kSystemReads), std::end(kSystemReads));
  GPUHOST_TRY(Restrict(rights));
  return ForbidSystemCalls();
}

absl::Status ConfineFilesSide(const std::vector<std::string>& directories) {
  GPUHOST_TRY(DropPrivileges({}));
  return Restrict({.write = directories, .read_all = true});
}

absl::Status ConfineHardwareSide() {
  return DropPrivileges({CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH});
}

}  // namespace gpuhost::cc_manager
