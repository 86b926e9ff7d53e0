// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "daemons/kata-manager/artifacts/manifest.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
struct FreeWriter {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
using Reader = std::unique_ptr<archive, FreeReader>;
using Writer = std::unique_ptr<archive, FreeWriter>;

absl::Status Broken(const std::string& archive_path, archive* from) {
  const char* said = archive_error_string(from);
  return Error(absl::StatusCode::kDataLoss, "unpack {}: {}", archive_path,
               said == nullptr ? "it is broken" : said);
}

std::string TextOf(const char* text) { return text == nullptr ? "" : text; }

// A name in the archive without "./" before and "/" behind it.
std::string Plain(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  while (name.ends_with('/')) name.pop_back();
  return name == "." ? "" : name;
}

// Where a symbolic link leads to, as a path in the archive; ".." as its first part when outside.
std::string LeadsTo(const std::string& name, const std::string& target) {
  std::vector<std::string> parts;
  const size_t slash = name.rfind('/');
  const std::string path = (slash == std::string::npos ? "" : name.substr(0, slash + 1)) + target;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return "..";
    } else {
      parts.pop_back();
    }
  }
  return fmt::format("{}", fmt::join(parts, "/"));
}

absl::Status CheckEntry(archive_entry* entry, const std::string& name) {
  const auto refuse = [&](std::string_view why) {
    return Error(absl::StatusCode::kDataLoss, "the archive's entry '{}' {}; nothing of it is used",
                 name.substr(0, 80), why);
  };
  if (const absl::Status title = CheckTitle(name); !title.ok()) {
    return refuse("has a name that is refused: " + Text(title));
  }
  const std::string hard = TextOf(archive_entry_hardlink(entry));
  if (!hard.empty()) {
    return CheckTitle(Plain(hard)).ok() ? absl::OkStatus() : refuse("links to what is outside");
  }
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFREG || type == AE_IFDIR) return absl::OkStatus();
  if (type != AE_IFLNK) return refuse("is neither file, directory nor link");
  const std::string target = TextOf(archive_entry_symlink(entry));
  const bool outside = target.empty() || target.starts_with('/') || LeadsTo(name, target) == "..";
  return outside ? refuse("links to what is outside") : absl::OkStatus();
}

// The data of the entry that was just begun. A file may be longer than it says.
absl::Status CopyData(archive* from, archive* to, const std::string& path, uint64_t& left) {
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (true) {
    const int read = archive_read_data_block(from, &block, &size, &offset);
    if (read == ARCHIVE_EOF) return absl::OkStatus();
    if (read != ARCHIVE_OK) return Broken(path, from);
    if (size > left) {
      return Error(absl::StatusCode::kDataLoss, "unpack {}: it becomes too large", path);
    }
    left -= size;
    if (archive_write_data_block(to, block, size, offset) < ARCHIVE_OK) {
      return ErrnoStatus(archive_errno(to), "unpack " + path);
    }
  }
}

}  // namespace

absl::Status Unpack(HostFs& fs, const std::string& path, const std::string& directory,
                    const UnpackLimits& limits) {
  GPUHOST_TRY(fs.MakeDirectories(directory));
  const Reader reader(archive_read_new());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  constexpr size_t kBlock = 1 << 18;
  if (archive_read_open_filename(reader.get(), fs.Resolve(path).c_str(), kBlock) != ARCHIVE_OK) {
    return Broken(path, reader.get());
  }
  const Writer writer(archive_write_disk_new());
  archive_write_disk_set_options(writer.get(), ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                   ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                                   ARCHIVE_EXTRACT_NO_OVERWRITE);
  uint64_t left = limits.bytes, entries = 0;
  while (true) {
    archive_entry* entry = nullptr;
    const int next = archive_read_next_header(reader.get(), &entry);
    if (next == ARCHIVE_EOF) break;
    if (next != ARCHIVE_OK) return Broken(path, reader.get());
    if (++entries > limits.entries) {
      return Error(absl::StatusCode::kDataLoss, "unpack {}: it has too many entries", path);
    }
    const std::string name = Plain(TextOf(archive_entry_pathname(entry)));
    if (name.empty()) continue;
    GPUHOST_TRY(CheckEntry(entry, name));
    const std::string below = fs.Resolve(directory) + "/";
    const std::string hard = TextOf(archive_entry_hardlink(entry));
    archive_entry_set_pathname(entry, (below + name).c_str());
    if (!hard.empty()) archive_entry_set_hardlink(entry, (below + Plain(hard)).c_str());
    const bool runs = (archive_entry_perm(entry) & 0111) != 0;
    archive_entry_set_perm(entry, archive_entry_filetype(entry) == AE_IFDIR || runs ? 0755 : 0644);
    if (archive_write_header(writer.get(), entry) != ARCHIVE_OK) return Broken(path, writer.get());
    GPUHOST_TRY(CopyData(reader.get(), writer.get(), path, left));
    if (archive_write_finish_entry(writer.get()) != ARCHIVE_OK) return Broken(path, writer.get());
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) return Broken(path, writer.get());
  GPUHOST_ASSIGN(const UniqueFd on_disk, fs.Open(directory, O_RDONLY | O_DIRECTORY));
  if (::syncfs(on_disk.get()) != 0)
    return ErrnoStatus(errno, "write " + directory + " to the disk");
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager::artifacts
