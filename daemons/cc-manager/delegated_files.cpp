// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/delegated_files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include "daemons/cc-manager/confine.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using Call = FilesProcess::Call;

// A request is the call, the path, a NUL and the bytes; an answer a code and a text, with the
// descriptor beside it.
constexpr size_t kLargestRequest = 128 << 10;  // well below what a socket takes at once
constexpr size_t kLongestText = 1024;

bool Contains(const std::vector<std::string>& paths, std::string_view path) {
  return std::ranges::find(paths, path) != paths.end();
}

struct Answer {
  absl::Status status;
  UniqueFd file;
};

absl::Status SendAnswer(int socket, const Answer& answer) {
  const auto code = static_cast<int32_t>(answer.status.code());
  std::string text = Text(answer.status).substr(0, kLongestText);
  iovec parts[] = {{const_cast<int32_t*>(&code), sizeof code}, {text.data(), text.size()}};
  msghdr message{.msg_iov = parts, .msg_iovlen = 2};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (answer.file) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = answer.file.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? ErrnoStatus(errno, "answer")
                                                       : absl::OkStatus();
}

std::optional<Answer> ReceiveAnswer(int socket) {
  int32_t code = 0;
  char text[kLongestText];
  iovec parts[] = {{&code, sizeof code}, {text, sizeof text}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{
      .msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < static_cast<ssize_t>(sizeof code)) return std::nullopt;
  Answer answer{.status = absl::Status(static_cast<absl::StatusCode>(code),
                                       {text, static_cast<size_t>(got) - sizeof code}),
                .file = {}};
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
      header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    answer.file.Reset(fd);
  }
  return answer;
}

Answer Open(const HostFs& fs, const std::string& path) {
  auto file = fs.Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.ok()) return {file.status(), {}};
  return {absl::OkStatus(), *std::move(file)};
}

Answer Do(const HostFs& own, HostFs& node, const DelegatedFiles& files, std::string_view request) {
  const size_t end = request.find('\0');
  if (request.size() < 2 || end == std::string_view::npos) {
    return {absl::InvalidArgumentError("no request"), {}};
  }
  const auto call = static_cast<Call>(request[0]);
  const std::string path(request.substr(1, end - 1));
  const bool replaced = Contains(files.replaced, path);
  if (call == Call::kOpenOwn && Contains(files.own, path)) return Open(own, path);
  if (call == Call::kOpenNode && (replaced || Contains(files.node, path))) return Open(node, path);
  if (call == Call::kReplace && replaced) {
    return {node.WriteFileAtomic(path, request.substr(end + 1), 0644), {}};
  }
  if (call == Call::kRemove && replaced) return {node.Remove(path), {}};
  return {Error(absl::StatusCode::kPermissionDenied, "{}: not a file for cc-manager's other side",
                path.substr(0, 256)),
          {}};
}

// The directories in which something is replaced.
std::vector<std::string> DirectoriesOf(const HostFs& node, const DelegatedFiles& files) {
  std::vector<std::string> directories;
  for (const std::string& path : files.replaced) {
    directories.push_back(node.Resolve(path.substr(0, path.rfind('/'))));
  }
  return directories;
}

absl::Status Serve(const std::string& root, const DelegatedFiles& files, int socket) {
  const HostFs own;
  HostFs node(root);
  for (const std::string& path : files.replaced) {
    GPUHOST_TRY(node.MakeDirectories(path.substr(0, path.rfind('/'))));
  }
  GPUHOST_TRY(ConfineFilesSide(DirectoriesOf(node, files)));
  std::string request(kLargestRequest, '\0');
  while (true) {
    const ssize_t got = ::recv(socket, request.data(), request.size(), 0);
    if (got <= 0) return absl::OkStatus();
    const std::string_view text(request.data(), static_cast<size_t>(got));
    GPUHOST_TRY(SendAnswer(socket, Do(own, node, files, text)));
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<FilesProcess>> FilesProcess::Fork(const std::string& root,
                                                                 const DelegatedFiles& files) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make a socket pair");
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork the process for files");
  if (child == 0) {
    ours.Reset();
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
    ::prctl(PR_SET_NAME, "cc-files");
    const absl::Status served = Serve(root, files, theirs.get());
    if (!served.ok()) {
      service::Log(service::Level::kError, "process for files ends", {{"error", served}});
    }
    ::_exit(served.ok() ? service::kDone : service::kFailed);
  }
  return std::shared_ptr<FilesProcess>(new FilesProcess(files, std::move(ours)));
}

absl::StatusOr<UniqueFd> FilesProcess::Ask(Call call, const std::string& path,
                                           std::string_view bytes) {
  const std::string request = static_cast<char>(call) + path + '\0' + std::string(bytes);
  if (request.size() > kLargestRequest) {
    return Error(absl::StatusCode::kResourceExhausted, "{}: {} bytes are more than {}", path,
                 bytes.size(), kLargestRequest);
  }
  const std::lock_guard lock(mutex_);
  std::optional<Answer> answer;
  if (::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) >= 0) {
    answer = ReceiveAnswer(socket_.get());
  }
  if (!answer) {
    service::Log(service::Level::kError, "the process for files is gone; ending");
    ::_exit(service::kFailed);
  }
  if (!answer->status.ok()) return answer->status;
  return std::move(answer->file);
}

absl::StatusOr<UniqueFd> DelegatedFs::Open(std::string_view path, int flags) const {
  const DelegatedFiles& files = process_->files();
  const bool reading = (flags & O_ACCMODE) == O_RDONLY && (flags & O_DIRECTORY) == 0;
  if (reading && of_ == Of::kOwn && Contains(files.own, path)) {
    return process_->Ask(Call::kOpenOwn, std::string(path));
  }
  if (reading && of_ == Of::kNode &&
      (Contains(files.node, path) || Contains(files.replaced, path))) {
    return process_->Ask(Call::kOpenNode, std::string(path));
  }
  return HostFs::Open(path, flags);
}

absl::Status DelegatedFs::WriteFileAtomic(std::string_view path, std::string_view bytes,
                                          mode_t mode) {
  if (of_ != Of::kNode || !Contains(process_->files().replaced, path)) {
    return HostFs::WriteFileAtomic(path, bytes, mode);
  }
  return process_->Ask(Call::kReplace, std::string(path), bytes).status();
}

absl::Status DelegatedFs::Remove(std::string_view path) {
  if (of_ != Of::kNode || !Contains(process_->files().replaced, path)) {
    return HostFs::Remove(path);
  }
  return process_->Ask(Call::kRemove, std::string(path)).status();
}

}  // namespace gpuhost::cc_manager
