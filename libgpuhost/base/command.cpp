// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/command.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libgpuhost/base/descriptors.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {
namespace {

constexpr int kNotThere = 127, kNotAllowed = 126;  // as shells say it
constexpr int kNoProgram = 125;
constexpr size_t kLongestComplaint = 1024;

struct Pipe {
  static absl::StatusOr<Pipe> Make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  UniqueFd read, write;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Runs in the child until execve takes over: async-signal-safe calls only. Without `input`, which
// is -1 then, nothing can be read.
[[noreturn]] void Execute(const char* path, char* const* arguments, char* const* environment,
                          int input, int output, int complaints) {
  ::setsid();
  if (input < 0) input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
                     ::dup2(complaints, STDERR_FILENO) >= 0;
  CloseOthers(STDERR_FILENO + 1);
  if (ready) ::execve(path, arguments, environment);
  ::_exit(errno == ENOENT ? kNotThere : errno == ENOEXEC ? kNoProgram : kNotAllowed);
}

// The child with all that it has started; ends them when it goes out of scope.
class Session {
 public:
  explicit Session(pid_t leader) : leader_(leader) {}
  ~Session() { End(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Its wait status. The leader is not yet reaped when the others are killed, so that its number
  // still stands for them.
  int End() {
    if (leader_ < 0) return status_;
    ::kill(-leader_, SIGKILL);
    ::kill(leader_, SIGKILL);  // it may not have had time for setsid
    while (::waitpid(leader_, &status_, 0) < 0 && errno == EINTR) {
    }
    leader_ = -1;
    return status_;
  }
  // Waits for the leader to end by itself; false when it has not by `deadline`.
  bool Await(TimePoint deadline) const {
    SystemClock clock;
    while (true) {
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(leader_), &info, WEXITED | WNOWAIT | WNOHANG) != 0 ||
          info.si_pid != 0) {
        return true;
      }
      if (clock.Now() >= deadline) return false;
      clock.SleepFor(std::chrono::milliseconds(2));
    }
  }

 private:
  pid_t leader_;
  int status_ = 0;
};

// A pipe that holds `input`; an open write end keeps its reader from seeing the end.
absl::StatusOr<Pipe> Filled(const std::string& input) {
  if (input.size() > Command::kLongestInput) {
    return Error(absl::StatusCode::kInvalidArgument, "give a program {} bytes: at most {} fit",
                 input.size(), Command::kLongestInput);
  }
  GPUHOST_ASSIGN(Pipe pipe, Pipe::Make());
  // Any pipe takes a page, so this neither waits nor writes a part.
  if (::write(pipe.write.get(), input.data(), input.size()) < 0) return ErrnoStatus(errno, "write");
  return pipe;
}

// What an exit status without a word may mean; OK: nothing of this kind.
absl::Status NotStarted(int status, const std::string& what) {
  if (!WIFEXITED(status)) return absl::OkStatus();
  switch (WEXITSTATUS(status)) {
    case kNotThere:
      return Error(absl::StatusCode::kNotFound, "{}: no such program", what);
    case kNotAllowed:
      return Error(absl::StatusCode::kPermissionDenied, "{}: it may not be run", what);
    case kNoProgram:
      return Error(
          absl::StatusCode::kFailedPrecondition,
          "{}: the kernel executes no such file; it is of another architecture, or cut off", what);
    default:
      return absl::OkStatus();
  }
}

// Reads once; false at the end of the stream.
bool ReadInto(std::string& text, int fd) {
  char buffer[4096];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got > 0) text.append(buffer, static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

// Reads both streams until they end.
absl::Status Collect(UniqueFd& output_fd, UniqueFd& complaints_fd, TimePoint deadline,
                     size_t longest, std::string& output, std::string& complaints) {
  SystemClock clock;
  while (output_fd || complaints_fd) {
    pollfd waiting[] = {{.fd = output_fd.get(), .events = POLLIN, .revents = 0},
                        {.fd = complaints_fd.get(), .events = POLLIN, .revents = 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    if (left <= 0) return absl::DeadlineExceededError("");
    ::poll(waiting, 2, static_cast<int>(std::min<int64_t>(left, INT32_MAX)));
    if (waiting[0].revents != 0 && !ReadInto(output, output_fd.get())) output_fd.Reset();
    if (waiting[1].revents != 0 && !ReadInto(complaints, complaints_fd.get())) {
      complaints_fd.Reset();
    }
    if (output.size() > longest) return absl::ResourceExhaustedError("");
    if (complaints.size() > kLongestComplaint) {
      complaints.erase(0, complaints.size() - kLongestComplaint);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> OutputOf(Duration limit, const Command& command) {
  const TimePoint deadline = SystemClock().Now() + limit;
  std::vector<std::string> words{command.path};
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  const std::string what = fmt::format("run {}", fmt::join(words, " "));
  const std::vector<char*> arguments = Pointers(words), environment = Pointers(command.environment);

  Pipe in;
  if (!command.input.empty()) {
    auto filled = Filled(command.input);
    if (!filled.ok()) return Annotate(filled.status(), what);
    in = *std::move(filled);
  }
  GPUHOST_ASSIGN(Pipe out, Pipe::Make());
  GPUHOST_ASSIGN(Pipe err, Pipe::Make());
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) {
    Execute(command.path.c_str(), arguments.data(), environment.data(), in.read.get(),
            out.write.get(), err.write.get());
  }
  Session session(child);
  out.write.Reset();
  err.write.Reset();

  std::string output, complaints;
  const absl::Status read =
      Collect(out.read, err.read, deadline, command.longest_output, output, complaints);
  if (absl::IsResourceExhausted(read)) {
    return Error(read.code(), "{}: it prints more than {} bytes", what, command.longest_output);
  }
  if (!read.ok() || !session.Await(deadline)) {
    return Error(absl::StatusCode::kDeadlineExceeded, "{}: not done after {:.0f} s", what,
                 Seconds(limit));
  }
  const int status = session.End();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  if (complaints.empty()) GPUHOST_TRY(NotStarted(status, what));
  while (complaints.ends_with('\n')) complaints.pop_back();
  return Error(absl::StatusCode::kUnknown, "{}: {}", what,
               complaints.empty() ? "it failed without a word" : complaints);
}

}  // namespace gpuhost
