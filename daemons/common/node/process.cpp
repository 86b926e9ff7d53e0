// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/node/process.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "daemons/common/node/cgroup.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node {
namespace {

constexpr size_t kMostText = 1u << 20, kCommLength = 15;

// Which services run which program. Distributions whose kubelet and containerd are children of one
// process have them in the cgroup of that process's service.
struct Service {
  std::string_view program, unit;  // a pattern
};
constexpr auto kServices = std::to_array<Service>({
    {"containerd", "containerd.service"},
    {"containerd", "k3s.service"},
    {"containerd", "k3s-*.service"},
    {"containerd", "rke2-*.service"},
    {"containerd", "k0s*.service"},
    {"containerd", "snap.microk8s.daemon-containerd.service"},
    {"containerd", "snap.k8s.containerd.service"},
    {"crio", "crio.service"},
    {"crio", "cri-o.service"},
    {"kubelet", "kubelet.service"},
    {"kubelet", "rke2-*.service"},
    {"kubelet", "k0s*.service"},
    {"kubelet", "snap.k8s.kubelet.service"},
    {"kubelet", "snap.kubelet-eks.daemon.service"},
    {"k3s", "k3s.service"},
    {"k3s", "k3s-*.service"},
    {"k3s-server", "k3s.service"},
    {"k3s-server", "k3s-*.service"},
    {"k3s-agent", "k3s.service"},
    {"k3s-agent", "k3s-*.service"},
    {"kubelite", "snap.microk8s.daemon-kubelite.service"},
});

bool HasServices(std::string_view program) {
  return std::ranges::any_of(kServices, [&](const Service& s) { return s.program == program; });
}

bool IsOneOf(std::string_view program, const std::string& unit) {
  return std::ranges::any_of(kServices, [&](const Service& service) {
    return service.program == program && ::fnmatch(service.unit.data(), unit.c_str(), 0) == 0;
  });
}

// /proc/<pid>, held open: what is read belongs to one process, also when its number is given to
// another one meanwhile.
class Directory {
 public:
  static absl::StatusOr<Directory> Open(const HostFs& fs, int pid) {
    std::string path = fmt::format("/proc/{}", pid);
    GPUHOST_ASSIGN(UniqueFd fd, fs.Open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    return Directory(std::move(path), std::move(fd));
  }

  absl::StatusOr<std::string> Read(const char* name) const {
    const std::string what = fmt::format("read {}/{}", path_, name);
    const UniqueFd fd(
        ::openat(fd_.get(), name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
    struct stat is {};
    if (!fd || ::fstat(fd.get(), &is) != 0) return ErrnoStatus(errno, what);
    if (!S_ISREG(is.st_mode)) {
      return Error(absl::StatusCode::kFailedPrecondition, "{}: it is no regular file", what);
    }
    std::string text;
    char buffer[4096];
    while (text.size() < kMostText) {
      const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, what);
      if (got == 0) break;
      text.append(buffer, static_cast<size_t>(got));
    }
    return text;
  }

  absl::StatusOr<std::string> Link(const char* name) const {
    char target[4096];
    const ssize_t length = ::readlinkat(fd_.get(), name, target, sizeof target);
    if (length < 0) return ErrnoStatus(errno, fmt::format("read link {}/{}", path_, name));
    return std::string(target, static_cast<size_t>(length));
  }

 private:
  Directory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;
};

// The words behind "Uid:" in /proc/<pid>/status.
std::vector<std::string> WordsAt(const std::string& status, std::string_view key) {
  std::istringstream lines(status);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream words(line.substr(key.size()));
    std::vector<std::string> found;
    for (std::string word; words >> word;) found.push_back(word);
    return found;
  }
  return {};
}

// Empty: it has ended, also when its parent has not asked for it yet.
absl::StatusOr<std::vector<std::string>> UserIds(const Directory& process) {
  GPUHOST_ASSIGN(const std::string status, process.Read("status"));
  const auto state = WordsAt(status, "State:");
  if (!state.empty() && (state[0] == "Z" || state[0] == "X")) return std::vector<std::string>();
  auto ids = WordsAt(status, "Uid:");
  if (ids.size() != 4) return absl::DataLossError("its status has no four user ids");
  return ids;
}

// OK: they are the node's. kPermissionDenied: they are not. kNotFound: it has none (any more).
// kFailedPrecondition: that cannot be told.
absl::Status CheckNamespaces(const Directory& process, const Directory& init) {
  for (const char* name : {"ns/mnt", "ns/pid", "ns/user"}) {
    const auto wanted = init.Link(name);
    // A kernel that was built without user namespaces.
    if (absl::IsNotFound(wanted.status()) && std::string_view(name) == "ns/user") continue;
    const auto found = process.Link(name);
    if (!wanted.ok()) return absl::FailedPreconditionError(Text(wanted.status()));
    if (absl::IsNotFound(found.status())) return found.status();
    if (!found.ok()) return absl::FailedPreconditionError(Text(found.status()));
    if (*found != *wanted) {
      return absl::PermissionDeniedError(fmt::format("it is in another namespace, {}", *found));
    }
  }
  return absl::OkStatus();
}

Process Describe(const Directory& process, int pid, const std::string& unit) {
  Process found{.pid = pid, .exe = process.Link("exe").value_or(""), .unit = unit};
  constexpr std::string_view kDeleted = " (deleted)";
  if (found.exe.ends_with(kDeleted)) {
    found.replaced = true;
    found.exe.resize(found.exe.size() - kDeleted.size());
  }
  std::istringstream words(process.Read("cmdline").value_or(""));
  for (std::string word; std::getline(words, word, '\0');) found.arguments.push_back(word);
  return found;
}

// Errors: kPermissionDenied for somebody else's, kNotFound for one that has ended; others: it
// cannot be told.
absl::StatusOr<Process> Judge(const HostFs& fs, int pid) {
  GPUHOST_ASSIGN(const Directory process, Directory::Open(fs, pid));
  const auto unknown = [&](const absl::Status& why) {
    // Files of a process that has ended are not there; those of one that lives must be.
    return absl::IsNotFound(why) && !process.Read("comm").ok()
               ? why
               : absl::FailedPreconditionError(Text(why));
  };
  const auto ids = UserIds(process);
  if (!ids.ok()) return unknown(ids.status());
  if (ids->empty()) return absl::NotFoundError("it has ended");
  if (std::ranges::any_of(*ids, [](const std::string& id) { return id != "0"; })) {
    return absl::PermissionDeniedError(fmt::format("its user ids are {}", fmt::join(*ids, ", ")));
  }
  const auto init = Directory::Open(fs, 1);
  if (!init.ok()) return absl::FailedPreconditionError(Text(init.status()));
  const absl::Status same = CheckNamespaces(process, *init);
  if (!same.ok()) return absl::IsPermissionDenied(same) ? same : unknown(same);
  const auto cgroup = process.Read("cgroup"), root = init->Read("cgroup");
  if (!root.ok()) return absl::FailedPreconditionError(Text(root.status()));
  if (!cgroup.ok()) return unknown(cgroup.status());
  return Describe(process, pid, UnitIn(*cgroup, *root));
}

// The kernel's name of a process has 15 bytes, and is that of the link that was started: setuid
// programs are root's under any name that a user gives to a link to them. Only its service proves
// what such a process is, or its file.
bool IsFileOf(const Process& process, std::string_view name) {
  return std::string_view(process.exe).substr(process.exe.rfind('/') + 1) == name;
}

std::vector<int> Named(const HostFs& fs, const std::vector<std::string>& entries,
                       std::string_view name) {
  std::vector<int> pids;
  const std::string comm(name.substr(0, kCommLength));
  for (const std::string& entry : entries) {
    const auto pid = ParseDecimal(entry, INT32_MAX);
    if (!pid) continue;
    const auto found = fs.ReadAttribute(fmt::format("/proc/{}/comm", *pid));
    if (found.ok() && *found == comm) pids.push_back(static_cast<int>(*pid));
  }
  std::ranges::sort(pids);
  return pids;
}

}  // namespace

Processes OwnProcesses(const HostFs& fs, std::string_view name) {
  constexpr std::string_view kRemedy = "run as root with the host's /proc (hostPID in a pod)";
  Processes found;
  const auto entries = fs.List("/proc");
  // Where /proc is mounted with hidepid, others' processes are not listed, process 1 among them.
  const absl::Status seen =
      entries.ok() ? fs.ReadAttribute("/proc/1/comm").status() : entries.status();
  if (!seen.ok()) {
    found.complete =
        Error(seen.code(), "cannot see the node's processes: {}; {}", Text(seen), kRemedy);
    if (!entries.ok()) return found;
  }
  for (const int pid : Named(fs, *entries, name)) {
    auto process = Judge(fs, pid);
    if (absl::IsNotFound(process.status()) || absl::IsPermissionDenied(process.status())) continue;
    if (!process.ok()) {
      found.complete.Update(Error(absl::StatusCode::kFailedPrecondition,
                                  "cannot tell whose process {} ({}) is: {}; {}", pid, name,
                                  Text(process.status()), kRemedy));
      continue;
    }
    const bool own = HasServices(name) ? IsOneOf(name, process->unit) : IsFileOf(*process, name);
    (own ? found.own : found.elsewhere).push_back(*std::move(process));
  }
  return found;
}

absl::StatusOr<Process> PeerProcess(const HostFs& fs, const std::string& socket) {
  const std::string what = fmt::format("ask who listens on {}", socket);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string whole = fs.Resolve(socket);
  if (whole.size() >= sizeof address.sun_path) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: the path is too long", what);
  }
  whole.copy(address.sun_path, whole.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno == ECONNREFUSED ? Error(absl::StatusCode::kUnavailable, "{}: nobody does", what)
                                 : ErrnoStatus(errno, what);
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus(errno, what);
  }
  // Its number is one of our PID namespace, and 0 for a process that cannot be seen from here.
  const auto ours = fs.ReadLink("/proc/self/ns/pid"), theirs = fs.ReadLink("/proc/1/ns/pid");
  if (peer.pid <= 0 || !ours.ok() || !theirs.ok() || *ours != *theirs) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: this is not the node's PID namespace (hostPID in a pod)", what);
  }
  auto process = Judge(fs, peer.pid);
  if (!process.ok())
    return Annotate(process.status(), fmt::format("{}: process {}", what, peer.pid));
  return process;
}

}  // namespace gpuhost::node
