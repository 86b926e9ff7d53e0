// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/tar_stream.h"

#include <archive_entry.h>
#include <fcntl.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr size_t kBlock = 1 << 18;

absl::Status Broken(const std::string& path, archive* from) {
  const char* said = archive_error_string(from);
  return Error(absl::StatusCode::kDataLoss, "unpack {}: {}", path,
               said == nullptr ? "it is broken" : said);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TarStream>> TarStream::Open(const HostFs& fs,
                                                           const std::string& path, uint64_t limit,
                                                           std::function<absl::Status()> go_on) {
  std::unique_ptr<TarStream> stream(new TarStream(path, limit, std::move(go_on)));
  GPUHOST_TRY(stream->OpenReaders(fs));
  return stream;
}

absl::Status TarStream::OpenReaders(const HostFs& fs) {
  GPUHOST_ASSIGN(fd_, fs.Open(path_, O_RDONLY));
  raw_.reset(archive_read_new());
  archive_read_support_filter_gzip(raw_.get());
  archive_read_support_filter_xz(raw_.get());
  archive_read_support_filter_zstd(raw_.get());
  archive_read_support_format_raw(raw_.get());
  archive_entry* whole = nullptr;
  if (archive_read_open_fd(raw_.get(), fd_.get(), kBlock) != ARCHIVE_OK ||
      archive_read_next_header(raw_.get(), &whole) != ARCHIVE_OK) {
    return Broken(path_, raw_.get());
  }
  tar_.reset(archive_read_new());
  archive_read_support_format_tar(tar_.get());
  if (archive_read_open(tar_.get(), this, nullptr, &TarStream::Read, nullptr) != ARCHIVE_OK) {
    return Failure();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> TarStream::Next() {
  GPUHOST_TRY(go_on_());
  const void* bytes = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  const int read = archive_read_data_block(raw_.get(), &bytes, &size, &offset);
  if (read == ARCHIVE_EOF) return std::string_view();
  if (read != ARCHIVE_OK) return Broken(path_, raw_.get());
  if (size > left_) {
    return Error(absl::StatusCode::kDataLoss, "unpack {}: it becomes too large", path_);
  }
  left_ -= size;
  const std::string_view piece(static_cast<const char*>(bytes), size);
  digest_.Update(piece);
  return piece;
}

la_ssize_t TarStream::Read(archive*, void* self, const void** bytes) {
  auto& stream = *static_cast<TarStream*>(self);
  const auto piece = stream.Next();
  stream.failure_ = piece.status();
  if (!piece.ok()) return ARCHIVE_FATAL;
  *bytes = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

absl::Status TarStream::Failure() const {
  return failure_.ok() ? Broken(path_, tar_.get()) : failure_;
}

absl::StatusOr<std::string> TarStream::DigestOfAll() {
  while (true) {
    GPUHOST_ASSIGN(const std::string_view piece, Next());
    if (piece.empty()) return digest_.Hex();
  }
}

}  // namespace gpuhost::kata_manager::artifacts
