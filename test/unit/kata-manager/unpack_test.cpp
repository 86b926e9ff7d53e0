// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/unpack.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_kernel.h"
#include "test/unit/kata-manager/tarball.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using Catch::Matchers::Contains;

namespace {

using Entry = test::TarEntry;

struct World {
  absl::Status Unpack(const std::vector<Entry>& entries, const UnpackWishes& wishes = {}) {
    Write(entries);
    return Again(wishes);
  }
  absl::Status Again(const UnpackWishes& wishes = {}) {
    root.Directory("/in");
    return artifacts::Unpack(kernel, "/a.tar.gz", *Tree::Open(kernel, "/in"), "it", wishes)
        .status();
  }
  void Write(const std::vector<Entry>& entries) {
    test::WriteTar(root.Of("/a.tar.gz").string(), entries);
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
  CHECK(absl::IsDataLoss(world.Again()));
  world.root.Remove("/a.tar.gz");
  CHECK_FALSE(world.Again().ok());
}

TEST_CASE("holes are counted: one that would become a tebibyte is refused") {
  World world;
  const Entry sparse{.name = "sparse", .bytes = "x", .size = uint64_t{1} << 40};
  CHECK_THAT(Text(world.Unpack({sparse})), Contains("too large at 'sparse'"));
  World small;
  REQUIRE(small.Unpack({{.name = "sparse", .bytes = "x", .size = 100'000}}).ok());
  CHECK(small.root.Content("/in/it/sparse").size() == 100'000);
  World sum;
  CHECK_THAT(Text(sum.Unpack({{.name = "a", .bytes = "x", .size = 60'000},
                              {.name = "b", .bytes = "x", .size = 60'000}},
                             {.bytes = 100'000})),
             Contains("too large at 'b'"));
}

TEST_CASE("what is asked between two pieces ends it: SIGTERM, and a disk that fills up") {
  World world;
  int pieces = 0;
  UnpackWishes wishes;
  wishes.go_on = [&]() -> absl::Status {
    return ++pieces < 5 ? absl::OkStatus() : absl::CancelledError("about to end");
  };
  CHECK(absl::IsCancelled(world.Unpack({{"zeros", std::string(50 << 20, '\0')}}, wishes)));
  CHECK(pieces == 5);
}

TEST_CASE("a directory as oras 1.2 packs it comes out under its own name, not below it") {
  World world;
  const UnpackWishes wishes{.prefix = "some/guest"};
  const std::vector<Entry> packed = {{"some/guest/", "", AE_IFDIR, 0755},
                                     {"some/guest/a", "a"},
                                     {"some/guest/sub/f", "f"},
                                     {"some/guest/sub/link", "", AE_IFLNK, 0777, "../a"},
                                     {"some/guest/same", "", AE_IFREG, 0644, "some/guest/a", true}};
  const absl::Status status = world.Unpack(packed, wishes);
  INFO(Text(status));
  REQUIRE(status.ok());
  CHECK(*world.kernel.List("/in/it") == std::vector<std::string>{"a", "same", "sub"});
  CHECK(world.root.Content("/in/it/sub/link") == "a");
  CHECK(world.root.Content("/in/it/same") == "a");

  World other;  // not all of it is below: nothing is taken off
  REQUIRE(other.Unpack({{"some/guest/a", "a"}, {"b", "b"}}, wishes).ok());
  CHECK(other.root.Content("/in/it/some/guest/a") == "a");
  CHECK(other.root.Content("/in/it/b") == "b");

  World out;  // inside where it is packed, and outside where it comes to lie
  CHECK(absl::IsDataLoss(out.Unpack({{"some/guest/l", "", AE_IFLNK, 0777, "../../x"}}, wishes)));
}

TEST_CASE("the digest that oras gives of the archive without its compression is compared") {
  World world;
  world.Write({{"a", "a"}});
  UnpackWishes wishes;
  wishes.content_digest = std::string(64, '0');
  const absl::Status status = world.Again(wishes);
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(Text(status), Contains("as its maker has said"));
  const std::string text = Text(status);
  const std::string mark = "it has SHA-256 ";
  wishes.content_digest = text.substr(text.find(mark) + mark.size(), 64);
  World right;
  right.Write({{"a", "a"}});
  CHECK(right.Again(wishes).ok());
  // Of a plain tar it is the digest of the file.
  World plain;
  plain.root.File("/a.tar.gz", std::string(10'240, '\0'));
  wishes.content_digest = Sha256Of(std::string(10'240, '\0'));
  CHECK(plain.Again(wishes).ok());
}

TEST_CASE("names of its own: config.d, and letters that the locale does not know") {
  World world;
  const absl::Status status = world.Unpack({{"config.d/10-x.toml", "x"},
                                            {"sub/gr\xc3\xb6\xc3\x9f"
                                             "e.txt",
                                             "y"}});
  INFO(Text(status));
  REQUIRE(status.ok());
  CHECK(world.root.Content("/in/it/config.d/10-x.toml") == "x");
  CHECK(world.root.Content("/in/it/sub/gr\xc3\xb6\xc3\x9f"
                           "e.txt") == "y");
}

TEST_CASE("an entry that is there twice") {
  World world;
  CHECK_THAT(Text(world.Unpack({{"a", "1"}, {"a", "2"}})), Contains("is there twice"));
  CHECK(world.root.Content("/in/it/a") == "1");
}
