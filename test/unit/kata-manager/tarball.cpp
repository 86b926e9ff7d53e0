// SPDX-License-Identifier: Apache-2.0
#include "test/unit/kata-manager/tarball.h"

#include <locale.h>

#include <algorithm>
#include <catch2/catch.hpp>

namespace gpuhost::test {

void WriteTar(const std::string& path, const std::vector<TarEntry>& entries) {
  // libarchive writes names in UTF-8 only where the locale knows it.
  const locale_t utf8 = ::newlocale(LC_ALL_MASK, "C.UTF-8", locale_t{});
  const locale_t before = ::uselocale(utf8);
  archive* writer = archive_write_new();
  archive_write_add_filter_gzip(writer);
  archive_write_set_format_pax_restricted(writer);
  REQUIRE(archive_write_open_filename(writer, path.c_str()) == ARCHIVE_OK);
  for (const TarEntry& from : entries) {
    archive_entry* entry = archive_entry_new();
    const auto bytes = static_cast<la_int64_t>(from.bytes.size());
    const auto size = std::max(bytes, static_cast<la_int64_t>(from.size));
    archive_entry_set_pathname(entry, from.name.c_str());
    archive_entry_set_filetype(entry, from.type);
    archive_entry_set_perm(entry, from.mode);
    archive_entry_set_size(entry, size);
    if (size > bytes) archive_entry_sparse_add_entry(entry, 0, std::max<la_int64_t>(bytes, 1));
    archive_entry_set_uid(entry, 1234);
    if (from.hard) archive_entry_set_hardlink(entry, from.link.c_str());
    if (!from.hard && !from.link.empty()) archive_entry_set_symlink(entry, from.link.c_str());
    REQUIRE(archive_write_header(writer, entry) >= ARCHIVE_WARN);
    if (!from.bytes.empty()) archive_write_data(writer, from.bytes.data(), from.bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  ::uselocale(before);
  ::freelocale(utf8);
}

}  // namespace gpuhost::test
