// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/system_calls.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using Filter = std::unique_ptr<void, decltype(&::seccomp_release)>;

constexpr uint32_t kRefused = SCMP_ACT_ERRNO(EPERM);
// glibc then takes clone(2), whose flags a filter can see.
constexpr uint32_t kUnknown = SCMP_ACT_ERRNO(ENOSYS);

constexpr const char* kForbidden[] = {
    // other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    "pidfd_send_signal", "tkill", "perf_event_open", "userfaultfd", "io_uring_setup",
    // namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    // the kernel
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
    "reboot", "swapon", "swapoff", "iopl", "ioperm", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "add_key", "request_key", "keyctl", "quotactl", "acct", "syslog",
    // files
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "mknod", "mknodat",
    "setxattr", "lsetxattr", "fsetxattr", "open_by_handle_at", "name_to_handle_at", "truncate",
    "link", "linkat", "symlink", "symlinkat"};

absl::Status Add(const Filter& filter, uint32_t action, const char* name,
                 std::initializer_list<scmp_arg_cmp> conditions = {}) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return absl::OkStatus();  // not of this architecture
  const int error = ::seccomp_rule_add_array(
      filter.get(), action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
  return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, fmt::format("forbid {}", name));
}

// What SCMP_A0 of C stands for.
scmp_arg_cmp FirstArgument(scmp_compare how, int value, int masked = 0) {
  return {.arg = 0,
          .op = how,
          .datum_a = static_cast<scmp_datum_t>(value),
          .datum_b = static_cast<scmp_datum_t>(masked)};
}

absl::Status ForbidSockets(const Filter& filter) {
  constexpr int kAllowed[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
  int above = 0;
  for (const int family : kAllowed) {
    for (; above < family; ++above) {
      GPUHOST_TRY(Add(filter, kRefused, "socket", {FirstArgument(SCMP_CMP_EQ, above)}));
    }
    above = family + 1;
  }
  return Add(filter, kRefused, "socket", {FirstArgument(SCMP_CMP_GE, above)});
}

absl::Status ForbidNamespaces(const Filter& filter) {
  for (const int flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
                         CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    GPUHOST_TRY(Add(filter, kRefused, "clone", {FirstArgument(SCMP_CMP_MASKED_EQ, flag, flag)}));
  }
  return Add(filter, kUnknown, "clone3");
}

}  // namespace

absl::Status ForbidSystemCalls() {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW), &::seccomp_release);
  if (!filter) return absl::InternalError("make a system call filter: no memory");
  for (const char* name : kForbidden) GPUHOST_TRY(Add(filter, kRefused, name));
  GPUHOST_TRY(ForbidSockets(filter));
  GPUHOST_TRY(ForbidNamespaces(filter));
  const int error = ::seccomp_load(filter.get());
  return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, "load a system call filter");
}

}  // namespace gpuhost::cc_manager
