// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

using Entry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

Entry NewEntry(const std::string& name, mode_t type, mode_t mode, int64_t modified) {
  Entry entry(::archive_entry_new(), &::archive_entry_free);
  ::archive_entry_set_pathname(entry.get(), name.c_str());
  ::archive_entry_set_filetype(entry.get(), type);
  ::archive_entry_set_perm(entry.get(), mode);
  ::archive_entry_set_mtime(entry.get(), modified, 0);
  return entry;
}

}  // namespace

void Archive::Free::operator()(archive* open) const { ::archive_write_free(open); }

absl::Status Archive::Trouble(std::string_view what) const {
  const char* why = ::archive_error_string(open_.get());
  return Error(absl::StatusCode::kUnknown, "{} {}: {}", what, path_,
               why == nullptr ? "failed" : why);
}

absl::StatusOr<Archive> Archive::Create(const std::string& path) {
  Archive made(path);
  made.open_.reset(::archive_write_new());
  archive* open = made.open_.get();
  ::unlink(made.temporary_.c_str());
  // Somebody else's file or link at that name is not written to.
  const int fd = ::open(made.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, fmt::format("create {}", made.temporary_));
  ::close(fd);
  const bool ready = ::archive_write_add_filter_gzip(open) == ARCHIVE_OK &&
                     ::archive_write_set_format_pax_restricted(open) == ARCHIVE_OK &&
                     ::archive_write_open_filename(open, made.temporary_.c_str()) == ARCHIVE_OK;
  if (!ready) return made.Trouble("create");
  return made;
}

Archive::~Archive() {
  if (open_ && !finished_) ::unlink(temporary_.c_str());
}

absl::Status Archive::AddFile(const std::string& name, std::string_view content, int64_t modified) {
  const Entry entry = NewEntry(name, AE_IFREG, 0644, modified);
  ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  if (::archive_write_header(open_.get(), entry.get()) != ARCHIVE_OK) return Trouble("write to");
  const la_ssize_t done = ::archive_write_data(open_.get(), content.data(), content.size());
  return done == static_cast<la_ssize_t>(content.size()) ? absl::OkStatus() : Trouble("write to");
}

absl::Status Archive::AddLink(const std::string& name, const std::string& target) {
  const Entry entry = NewEntry(name, AE_IFLNK, 0777, 0);
  ::archive_entry_set_symlink(entry.get(), target.c_str());
  return ::archive_write_header(open_.get(), entry.get()) == ARCHIVE_OK ? absl::OkStatus()
                                                                        : Trouble("write to");
}

absl::Status Archive::AddDirectory(const std::string& name) {
  const Entry entry = NewEntry(name + "/", AE_IFDIR, 0755, 0);
  return ::archive_write_header(open_.get(), entry.get()) == ARCHIVE_OK ? absl::OkStatus()
                                                                        : Trouble("write to");
}

absl::Status Archive::Finish() {
  if (::archive_write_close(open_.get()) != ARCHIVE_OK) return Trouble("finish");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("put {} in place", path_));
  }
  finished_ = true;
  return absl::OkStatus();
}

}  // namespace gpuhost::node_validator
