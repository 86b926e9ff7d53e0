// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

namespace {

struct Entry {
  std::string name;
  std::string bytes;
  unsigned type = AE_IFREG;
  unsigned mode = 0644;
  std::string link = {};  // target
  bool hard = false;
};

struct World {
  absl::Status Unpack(const std::vector<Entry>& entries, const UnpackLimits& limits = {}) {
    const std::string path = root.Of("/a.tar.gz").string();
    archive* writer = archive_write_new();
    archive_write_add_filter_gzip(writer);
    archive_write_set_format_pax_restricted(writer);
    REQUIRE(archive_write_open_filename(writer, path.c_str()) == ARCHIVE_OK);
    for (const Entry& from : entries) {
      archive_entry* entry = archive_entry_new();
      archive_entry_set_pathname(entry, from.name.c_str());
      archive_entry_set_filetype(entry, from.type);
      archive_entry_set_perm(entry, from.mode);
      archive_entry_set_size(entry, static_cast<la_int64_t>(from.bytes.size()));
      archive_entry_set_uid(entry, 1234);
      if (from.hard) archive_entry_set_hardlink(entry, from.link.c_str());
      if (!from.hard && !from.link.empty()) archive_entry_set_symlink(entry, from.link.c_str());
      REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
      if (!from.bytes.empty()) archive_write_data(writer, from.bytes.data(), from.bytes.size());
      archive_entry_free(entry);
    }
    archive_write_close(writer);
    archive_write_free(writer);
    return artifacts::Unpack(kernel, "/a.tar.gz", "/in/it", limits);
  }
  unsigned ModeOf(const std::string& path) {
    struct stat found {};
    ::stat(root.Of(path).c_str(), &found);
    return found.st_mode & 07777;
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
};

}  // namespace

TEST_CASE("files, directories and links come out, plain") {
  World world;
  const absl::Status status = world.Unpack({{"./", "", AE_IFDIR, 0777},
                                            {"./d/", "", AE_IFDIR, 02777},
                                            {"./d/run", "#!", AE_IFREG, 06755},
                                            {"./d/data", "bytes", AE_IFREG, 0600},
                                            {"latest", "", AE_IFLNK, 0777, "d/data"},
                                            {"d/up", "", AE_IFLNK, 0777, "../latest"},
                                            {"same", "", AE_IFREG, 0644, "./d/data", true}});
  INFO(Text(status));
  REQUIRE(status.ok());
  CHECK(world.root.Content("/in/it/d/up") == "bytes");
  CHECK(world.root.Content("/in/it/same") == "bytes");
  CHECK(world.ModeOf("/in/it/d/run") == 0755);
  CHECK(world.ModeOf("/in/it/d/data") == 0644);
  CHECK(world.ModeOf("/in/it/d") == 0755);
}

TEST_CASE("an archive that reaches outside is refused, and nothing is there") {
  const auto [title, entries] = GENERATE(table<std::string, std::vector<Entry>>({
      {"up", {{"../evil", "x"}}},
      {"up inside", {{"a/../../evil", "x"}}},
      {"absolute", {{"/tmp/evil", "x"}}},
      {"link up", {{"l", "", AE_IFLNK, 0777, "../../evil"}}},
      {"link absolute", {{"l", "", AE_IFLNK, 0777, "/etc/passwd"}}},
      {"link to the parent, then through it", {{"l", "", AE_IFLNK, 0777, ".."}, {"l/evil", "x"}}},
      {"hard link outside", {{"h", "", AE_IFREG, 0644, "../../evil", true}}},
      {"hard link absolute", {{"h", "", AE_IFREG, 0644, "/etc/passwd", true}}},
      {"device", {{"dev", "", AE_IFCHR, 0666}}},
      {"pipe", {{"pipe", "", AE_IFIFO, 0666}}},
      {"config.d", {{"config.d/99-evil.toml", "x"}}},
  }));
  World world;
  world.root.File("/evil", "as it was");
  INFO(title);
  const absl::Status status = world.Unpack(entries);
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(Text(status), Contains("entry"));
  CHECK(world.root.Content("/evil") == "as it was");
  CHECK_FALSE(world.root.Exists("/in/evil"));
}

TEST_CASE("a link inside is not written through") {
  World world;
  const absl::Status status =
      world.Unpack({{"d/", "", AE_IFDIR, 0755}, {"l", "", AE_IFLNK, 0777, "d"}, {"l/x", "x"}});
  CHECK_FALSE(status.ok());
  CHECK_FALSE(world.root.Exists("/in/it/d/x"));
}

TEST_CASE("what becomes too large, or is broken") {
  World world;
  CHECK_THAT(Text(world.Unpack({{"zeros", std::string(100'000, '\0')}}, {.bytes = 99'999})),
             Contains("too large"));
  CHECK_THAT(Text(world.Unpack({{"a", ""}, {"b", ""}, {"c", ""}}, {.entries = 2})),
             Contains("too many"));
  world.root.File("/a.tar.gz", "\x1f\x8bno gzip");
  CHECK(absl::IsDataLoss(artifacts::Unpack(world.kernel, "/a.tar.gz", "/in/it")));
  CHECK_FALSE(artifacts::Unpack(world.kernel, "/none", "/in/it").ok());
}
