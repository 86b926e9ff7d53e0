// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr uint64_t kReserve = 10;  // a tenth of the disk
constexpr Duration kLockStep = std::chrono::milliseconds(100);

std::string HexOf(const std::string& digest) { return digest.substr(digest.find(':') + 1); }

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

absl::StatusOr<Space> SpaceOf(const std::string& path) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0)
    return ErrnoStatus(errno, "ask for the space of " + path);
  return Space{disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize};
}

absl::Status Partial::Append(std::string_view bytes) {
  if (size_ + bytes.size() > wanted_size_) {
    return Error(absl::StatusCode::kDataLoss, "{}: more than the {} bytes that were promised come",
                 path_, wanted_size_);
  }
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return ErrnoStatus(errno, "write " + path_);
    size_ += static_cast<uint64_t>(done);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return absl::OkStatus();
}

absl::Status Partial::Restart() {
  if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, "begin anew with " + path_);
  }
  size_ = 0;
  return absl::OkStatus();
}

std::string Store::PathOf(const std::string& digest) const {
  return fmt::format("{}/sha256/{}", directory_, HexOf(digest));
}

std::string Store::PartialOf(const std::string& digest) const {
  return fmt::format("{}/partial/{}", directory_, HexOf(digest));
}

absl::StatusOr<bool> Store::Has(const std::string& digest) {
  const std::string path = PathOf(digest);
  if (!fs_.Exists(path)) return false;
  {
    const std::lock_guard lock(mutex_);
    if (checked_.contains(digest)) return true;
  }
  const auto found = Sha256OfFile(fs_, path, stopping_);
  if (absl::IsCancelled(found.status())) return found.status();
  if (found.ok() && *found == HexOf(digest)) {
    const std::lock_guard lock(mutex_);
    checked_.insert(digest);
    return true;
  }
  fs_.Remove(path).IgnoreError();  // then it is found bad again
  return false;
}

void Store::Distrust() {
  const std::lock_guard lock(mutex_);
  checked_.clear();
}

uint64_t Store::Arrived(const std::string& digest) const {
  struct stat found {};
  const bool there = ::stat(fs_.Resolve(PartialOf(digest)).c_str(), &found) == 0;
  return there ? static_cast<uint64_t>(found.st_size) : 0;
}

// Open and ours alone, and still what the name leads to.
absl::StatusOr<UniqueFd> Store::OpenPartial(const std::string& path) const {
  SystemClock clock;
  while (true) {
    UniqueFd fd(::open(fs_.Resolve(path).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return ErrnoStatus(errno, "open " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      struct stat open {
      }, by_name{};
      const bool same = ::fstat(fd.get(), &open) == 0 &&
                        ::stat(fs_.Resolve(path).c_str(), &by_name) == 0 &&
                        open.st_ino == by_name.st_ino;
      if (same) return fd;
    } else if (errno == EWOULDBLOCK || errno == EINTR) {
      GPUHOST_TRY(CheckStopping(stopping_));
      clock.SleepFor(kLockStep);
    } else {
      return ErrnoStatus(errno, "lock " + path);
    }
  }
}

absl::StatusOr<Partial> Store::Begin(const std::string& digest, uint64_t size) {
  Partial partial;
  partial.path_ = PartialOf(digest);
  partial.wanted_size_ = size;
  GPUHOST_TRY(fs_.MakeDirectories(directory_ + "/partial"));
  GPUHOST_ASSIGN(partial.fd_, OpenPartial(partial.path_));
  const off_t end = ::lseek(partial.fd_.get(), 0, SEEK_END);
  if (end < 0) return ErrnoStatus(errno, "read " + partial.path_);
  partial.size_ = static_cast<uint64_t>(end);
  if (partial.size_ > size) GPUHOST_TRY(partial.Restart());
  return partial;
}

absl::Status Store::Finish(const std::string& digest, Partial partial) {
  const int fd = partial.fd_.get();
  if (::fsync(fd) != 0) return ErrnoStatus(errno, "finish " + partial.path_);
  GPUHOST_ASSIGN(const std::string hex, Sha256OfFd(fd, partial.path_, stopping_));
  if (partial.size_ != partial.wanted_size_ || hex != HexOf(digest)) {
    Discard(digest);
    return Error(
        absl::StatusCode::kDataLoss,
        "{} bytes with SHA-256 {} have come for {} of {} bytes; the registry, or something "
        "on the way, is at fault",
        partial.size_, hex, digest, partial.wanted_size_);
  }
  if (::fchmod(fd, 0444) != 0) return ErrnoStatus(errno, "finish " + partial.path_);
  GPUHOST_TRY(fs_.MakeDirectories(directory_ + "/sha256"));
  GPUHOST_TRY(fs_.Rename(partial.path_, PathOf(digest)));
  const std::lock_guard lock(mutex_);
  checked_.insert(digest);
  return absl::OkStatus();
}

void Store::Discard(const std::string& digest) {
  fs_.Remove(PartialOf(digest)).IgnoreError();  // the next one begins with its length
}

absl::Status Store::Put(const std::string& digest, std::string_view bytes) {
  GPUHOST_ASSIGN(Partial partial, Begin(digest, bytes.size()));
  GPUHOST_TRY(partial.Restart());
  GPUHOST_TRY(partial.Append(bytes));
  return Finish(digest, std::move(partial));
}

absl::Status Store::CheckSpace(uint64_t bytes) const {
  GPUHOST_TRY(fs_.MakeDirectories(directory_));
  GPUHOST_ASSIGN(const Space space, find_space_(fs_.Resolve(directory_)));
  const uint64_t reserve = space.total / kReserve;
  if (bytes + reserve <= space.free) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted,
               "{:.0f} MiB are needed at {} and a tenth of the disk stays free, but only {:.0f} of "
               "{:.0f} MiB are free; make room, or set artifactsDir",
               MiB(bytes), directory_, MiB(space.free), MiB(space.total));
}

}  // namespace gpuhost::kata_manager::artifacts
