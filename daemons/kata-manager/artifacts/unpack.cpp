// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/unpack.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "daemons/kata-manager/artifacts/manifest.h"
#include "daemons/kata-manager/artifacts/tar_stream.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr uint64_t kHeaders = 8192;  // of one entry, with its padding and long names

std::string TextOf(const char* text) { return text == nullptr ? "" : text; }

// A name in the archive without "./" before and "/" behind it.
std::string Plain(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  while (name.ends_with('/')) name.pop_back();
  return name == "." ? "" : name;
}

// Whether a symbolic link leads above the archive's directory as it is written. Where it leads
// through other links the kernel is asked when all is there.
bool LeadsAbove(const std::string& name, const std::string& target) {
  const size_t slash = name.rfind('/');
  const std::string path = (slash == std::string::npos ? "" : name.substr(0, slash + 1)) + target;
  int depth = 0;
  for (size_t begin = 0; begin <= path.size() && depth >= 0;) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part == "..") {
      --depth;
    } else if (!part.empty() && part != ".") {
      ++depth;
    }
  }
  return depth < 0;
}

absl::Status Refuse(const std::string& name, std::string_view why) {
  return Error(absl::StatusCode::kDataLoss, "the archive's entry '{}' {}; nothing of it is used",
               name.substr(0, 80), why);
}

// One pass through an archive.
class Unpacking {
 public:
  Unpacking(TarStream& stream, const Tree& tree, const UnpackWishes& wishes, std::string prefix)
      : stream_(stream), tree_(tree), wishes_(wishes), prefix_(std::move(prefix)) {}

  // False: an entry is not below the prefix.
  absl::StatusOr<bool> Run() {
    archive_entry* entry = nullptr;
    while (true) {
      const int next = archive_read_next_header(stream_.reader(), &entry);
      if (next == ARCHIVE_EOF) return true;
      // A warning: a name in UTF-8, which this process's locale does not know; it comes as it is.
      if (next < ARCHIVE_WARN || entry == nullptr) return stream_.Failure();
      GPUHOST_TRY(wishes_.go_on());
      if (++entries_ > wishes_.entries) {
        return Error(absl::StatusCode::kDataLoss, "the archive has too many entries");
      }
      const std::string in_archive = Plain(TextOf(archive_entry_pathname(entry)));
      if (in_archive.empty()) continue;
      GPUHOST_TRY(CheckName(in_archive, in_archive));
      const auto name = WithoutPrefix(in_archive);
      if (!name) return false;
      if (!name->empty()) GPUHOST_TRY(Take(entry, *name));
    }
  }
  uint64_t used() const { return used_; }

 private:
  static absl::Status CheckName(const std::string& entry, const std::string& name) {
    const absl::Status status = CheckPath(name);
    return status.ok() ? status : Refuse(entry, "has a name that is refused: " + Text(status));
  }

  std::optional<std::string> WithoutPrefix(const std::string& name) const {
    if (prefix_.empty()) return name;
    if (name == prefix_) return "";
    if (!name.starts_with(prefix_ + "/")) return std::nullopt;
    return name.substr(prefix_.size() + 1);
  }

  absl::Status Take(archive_entry* entry, const std::string& name) {
    if (const std::string hard = Plain(TextOf(archive_entry_hardlink(entry))); !hard.empty()) {
      const auto existing = CheckPath(hard).ok() ? WithoutPrefix(hard) : std::nullopt;
      if (!existing || existing->empty()) return Refuse(name, "links to what is outside");
      return Explain(name, tree_.LinkInside(*existing, name));
    }
    switch (archive_entry_filetype(entry)) {
      case AE_IFREG:
        return TakeFile(entry, name);
      case AE_IFDIR:
        return Explain(name, tree_.MakeDirectories(name));
      case AE_IFLNK: {
        const std::string target = TextOf(archive_entry_symlink(entry));
        if (target.empty() || target.starts_with('/') || LeadsAbove(name, target)) {
          return Refuse(name, "links to what is outside");
        }
        return Explain(name, tree_.Symlink(name, target));
      }
      default:
        return Refuse(name, "is neither file, directory nor link");
    }
  }

  // What an archive alone is to blame for is said so.
  static absl::Status Explain(const std::string& name, const absl::Status& status) {
    if (absl::IsAlreadyExists(status)) return Refuse(name, "is there twice");
    const bool its_fault = absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
                           absl::IsInvalidArgument(status);
    return its_fault ? Refuse(name, "cannot be put there: " + Text(status)) : status;
  }

  absl::Status TakeFile(archive_entry* entry, const std::string& name) {
    const bool runs = (archive_entry_perm(entry) & 0111) != 0;
    const auto fd = tree_.Create(name, runs ? 0755 : 0644);
    if (!fd.ok()) return Explain(name, fd.status());
    uint64_t length = 0;
    const auto grow = [&](uint64_t wanted) -> absl::Status {
      if (wanted <= length) return absl::OkStatus();
      if (wanted - length > wishes_.bytes - used_) {
        return Error(absl::StatusCode::kDataLoss,
                     "the archive becomes too large at '{}': more than {} bytes",
                     name.substr(0, 80), wishes_.bytes);
      }
      used_ += wanted - length;
      length = wanted;
      return absl::OkStatus();
    };
    const auto size = static_cast<uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
    GPUHOST_TRY(grow(size));
    const void* block = nullptr;
    size_t bytes = 0;
    la_int64_t offset = 0;
    while (true) {
      const int read = archive_read_data_block(stream_.reader(), &block, &bytes, &offset);
      if (read == ARCHIVE_EOF) break;
      if (read < ARCHIVE_WARN || offset < 0) return stream_.Failure();
      GPUHOST_TRY(wishes_.go_on());
      GPUHOST_TRY(grow(static_cast<uint64_t>(offset) + bytes));
      GPUHOST_TRY(WriteAll(fd->get(), {static_cast<const char*>(block), bytes}, offset, name));
    }
    if (::ftruncate(fd->get(), static_cast<off_t>(length)) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "write " + name);
  }

  static absl::Status WriteAll(int fd, std::string_view bytes, off_t offset,
                               const std::string& name) {
    while (!bytes.empty()) {
      const ssize_t done = ::pwrite(fd, bytes.data(), bytes.size(), offset);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return ErrnoStatus(errno, "write " + name);
      offset += done;
      bytes.remove_prefix(static_cast<size_t>(done));
    }
    return absl::OkStatus();
  }

  TarStream& stream_;
  const Tree& tree_;
  const UnpackWishes& wishes_;
  const std::string prefix_;
  uint64_t entries_ = 0, used_ = 0;
};

}  // namespace

absl::StatusOr<uint64_t> Unpack(const HostFs& fs, const std::string& archive, const Tree& tree,
                                const std::string& directory, const UnpackWishes& wishes) {
  const uint64_t uncompressed = wishes.bytes + wishes.entries * kHeaders;
  GPUHOST_ASSIGN(const auto stream, TarStream::Open(fs, archive, uncompressed, wishes.go_on));
  GPUHOST_ASSIGN(const Tree below, tree.Below(directory));
  Unpacking unpacking(*stream, below, wishes, wishes.prefix);
  GPUHOST_ASSIGN(const bool fitted, unpacking.Run());
  if (!fitted) {
    UnpackWishes plain = wishes;
    plain.prefix.clear();
    GPUHOST_TRY(below.Clear());
    return Unpack(fs, archive, tree, directory, plain);
  }
  if (!wishes.content_digest.empty()) {
    GPUHOST_ASSIGN(const std::string digest, stream->DigestOfAll());
    if (digest != wishes.content_digest) {
      return Error(absl::StatusCode::kDataLoss,
                   "unpack {}: uncompressed it has SHA-256 {} and not {}, as its maker has said",
                   archive, digest, wishes.content_digest);
    }
  }
  if (const absl::Status links = below.CheckLinks(); !links.ok()) {
    return Error(absl::StatusCode::kDataLoss, "{}; nothing of the archive is used", Text(links));
  }
  return unpacking.used();
}

}  // namespace gpuhost::kata_manager::artifacts
