// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr uint64_t kReserve = 10;  // a tenth of the disk

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
    digest_->Update(bytes.substr(0, static_cast<size_t>(done)));
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
  digest_ = std::make_unique<Sha256>();
  return absl::OkStatus();
}

std::string Store::PathOf(const std::string& digest) const {
  return fmt::format("{}/sha256/{}", directory_, HexOf(digest));
}

std::string Store::PartialOf(const std::string& digest) const {
  return fmt::format("{}/partial/{}", directory_, HexOf(digest));
}

bool Store::Has(const std::string& digest) {
  const std::string path = PathOf(digest);
  if (!fs_.Exists(path)) return false;
  if (checked_.contains(digest)) return true;
  if (Sha256OfFile(fs_, path).value_or("") == HexOf(digest)) {
    checked_.insert(digest);
    return true;
  }
  fs_.Remove(path).IgnoreError();  // then it is found bad again
  return false;
}

uint64_t Store::Arrived(const std::string& digest) const {
  struct stat found {};
  const bool there = ::stat(fs_.Resolve(PartialOf(digest)).c_str(), &found) == 0;
  return there ? static_cast<uint64_t>(found.st_size) : 0;
}

absl::StatusOr<Partial> Store::Begin(const std::string& digest, uint64_t size) {
  Partial partial;
  partial.path_ = PartialOf(digest);
  partial.wanted_size_ = size;
  GPUHOST_TRY(fs_.MakeDirectories(directory_ + "/partial"));
  partial.fd_ = UniqueFd(
      ::open(fs_.Resolve(partial.path_).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!partial.fd_) return ErrnoStatus(errno, "open " + partial.path_);
  partial.digest_ = std::make_unique<Sha256>();
  std::vector<char> buffer(1 << 18);
  while (true) {
    const ssize_t got = ::read(partial.fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read " + partial.path_);
    if (got == 0) break;
    partial.digest_->Update(std::string_view(buffer.data(), static_cast<size_t>(got)));
    partial.size_ += static_cast<uint64_t>(got);
  }
  if (partial.size_ > size) GPUHOST_TRY(partial.Restart());
  return partial;
}

absl::Status Store::Finish(const std::string& digest, Partial partial) {
  const std::string hex = partial.digest_->Hex();
  if (partial.size_ != partial.wanted_size_ || hex != HexOf(digest)) {
    Discard(digest);
    return Error(
        absl::StatusCode::kDataLoss,
        "{} bytes with SHA-256 {} have come for {} of {} bytes; the registry, or something "
        "on the way, is at fault",
        partial.size_, hex, digest, partial.wanted_size_);
  }
  if (::fchmod(partial.fd_.get(), 0444) != 0 || ::fsync(partial.fd_.get()) != 0) {
    return ErrnoStatus(errno, "finish " + partial.path_);
  }
  GPUHOST_TRY(fs_.MakeDirectories(directory_ + "/sha256"));
  GPUHOST_TRY(fs_.Rename(partial.path_, PathOf(digest)));
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
