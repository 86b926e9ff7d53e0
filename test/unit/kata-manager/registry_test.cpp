// SPDX-License-Identifier: Apache-2.0
//
// Fetching by libcurl from a registry on this machine that does all that registries do.
#include <sched.h>
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/fetch_world.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::artifacts;
using namespace gpuhost::kata_manager::artifacts::test;
using registry::Auth;
using registry::Fault;
using Kind = registry::Fault::Kind;
using Catch::Matchers::Contains;

namespace {

std::string LoginAt(const std::string& host, const std::string& inner) {
  return "{\"auths\": {\"" + host + "\": {" + inner + "}}}";
}

}  // namespace

TEST_CASE("an artefact becomes a generation; what is there is not fetched again") {
  World world;
  const auto recipe = world.Fetch();
  INFO(Text(recipe.status()));
  REQUIRE(recipe.ok());
  const std::string directory = ClassDirectory(kArtifacts, "kata-x");
  REQUIRE(*Establish(world.kernel, directory, *recipe));
  CHECK(world.root.Content(ConfigPath(kArtifacts, "kata-x")) == kToml);
  CHECK(world.root.Content(directory + "/current/kata.image") == kImage);
  CHECK_THAT(world.root.Content(directory + "/current/config.d/50-gpuhost.toml"),
             Contains("image = \"" + directory + "/gen-1/kata.image\""));
  const size_t asked = world.server.Requests().size();
  world.Reset();
  CHECK(world.Fetch()->identity == recipe->identity);
  CHECK_FALSE(*Establish(world.kernel, directory, *world.Fetch()));
  CHECK(world.server.Requests().size() == asked);
}

TEST_CASE("a connection that breaks is gone on with where it broke") {
  World world;
  world.server.Suffer(world.ImagePath(), {{.kind = Kind::kCut, .bytes = 70'000},
                                          {.kind = Kind::kCut, .bytes = 150'000}});
  CHECK(world.Status().ok());
  std::vector<std::string> ranges;
  for (const auto& request : world.server.Requests()) {
    if (request.path.find(world.ImagePath()) != std::string::npos) ranges.push_back(request.range);
  }
  REQUIRE(ranges.size() == 3);
  CHECK(ranges[0].empty());
  CHECK_THAT(ranges[1], Catch::StartsWith("bytes=") && Catch::EndsWith("-"));
  CHECK(ranges[1] != "bytes=0-");
}

TEST_CASE("the next process goes on, too") {
  World world;
  world.stop = true;  // between the first try and the second
  world.server.Suffer(world.ImagePath(), {{.kind = Kind::kCut, .bytes = 70'000}});
  CHECK(absl::IsCancelled(world.Status()));
  CHECK(world.Partials() == 1);
  world.stop = false;
  world.Reset();
  CHECK(world.Status().ok());
  CHECK_THAT(world.server.Requests().back().path, Contains("blobs/"));
  CHECK(world.Partials() == 0);
}

TEST_CASE("a server that ignores the range, and one that has changed, are begun with anew") {
  World world;
  world.server.Suffer(world.ImagePath(),
                      {{.kind = Kind::kCut, .bytes = 70'000}, {.kind = Kind::kWholeRange}});
  CHECK(world.Status().ok());
  World other;
  other.root.File("/art/cas/partial/" + Sha256Of(kImage), std::string(70'000, '?'));
  CHECK(other.Status().ok());
  CHECK(other.server.CountOf(other.ImagePath()) == 2);
}

TEST_CASE("what is not what was asked for is never kept") {
  World world;
  const Kind kind = GENERATE(Kind::kOtherBytes, Kind::kMoreBytes);
  world.server.Suffer(world.ImagePath(), {{.kind = kind}});
  CHECK(absl::IsDataLoss(world.Status()));
  CHECK(world.Partials() == 0);
  CHECK_FALSE(world.root.Exists("/art/cas/sha256/" + Sha256Of(kImage)));
  CHECK(absl::IsDataLoss(world.Status()));
  CHECK(world.server.CountOf(world.ImagePath()) == 1);  // not asked again at once
  world.clock.SleepFor(std::chrono::minutes(6));
  CHECK(world.Status().ok());

  World manifest;
  manifest.server.Suffer("manifests/", {{.kind = Kind::kOtherBytes}});
  CHECK_THAT(Text(manifest.Status()), Contains("gives a manifest with sha256:"));
}

TEST_CASE("a blob that the disk has changed is fetched again") {
  World world;
  REQUIRE(world.Status().ok());
  const std::string path = "/art/cas/sha256/" + Sha256Of(kImage);
  world.root.Remove(path);
  world.root.File(path, std::string(200'000, 'x'));
  world.Reset();
  CHECK(world.Status().ok());
  CHECK(world.root.Content(path) == kImage);
}

TEST_CASE("passwords, tokens, and none") {
  World world;
  const Auth auth = GENERATE(Auth::kBasic, Auth::kBearer);
  world.server.Demand(auth);
  CHECK(absl::IsUnauthenticated(world.Status()));
  world.secrets = {{"a", LoginAt("other.io", "\"auth\": \"dTpw\"")},
                   {"b", LoginAt("https://" + world.server.host() + "/v1/",
                                 "\"username\": \"u\", \"password\": \"p\"")}};
  world.pull_secrets = {"a", "b"};
  CHECK(world.Status().ok());
  world.server.Revoke();
  world.root.Remove("/art");
  world.Reset();
  CHECK(world.Status().ok());
  world.secrets["b"] = LoginAt(world.server.host(), "\"auth\": \"dTp3cm9uZw==\"");
  world.root.Remove("/art");
  world.Reset();
  CHECK(absl::IsUnauthenticated(world.Status()));
  world.pull_secrets = {"gone"};
  CHECK(absl::IsNotFound(world.Status()));
}

TEST_CASE("an identity token") {
  World world;
  world.server.Demand(Auth::kBearer);
  world.secrets = {{"a", LoginAt(world.server.host(), "\"identitytoken\": \"i\"")}};
  world.pull_secrets = {"a"};
  CHECK(world.Status().ok());
}

TEST_CASE("the login stays with the registry when it leads elsewhere") {
  World world;
  world.server.Demand(Auth::kBasic);
  world.secrets = {{"a", LoginAt(world.server.host(), "\"auth\": \"dTpw\"")}};
  world.pull_secrets = {"a"};
  world.elsewhere.AddBlob(kImage);
  const std::string there = "/v2/kata/gpu/" + world.ImagePath();
  world.server.Suffer(world.ImagePath(), {{.kind = Kind::kElsewhere,
                                           .text = "https://" + world.elsewhere.host() + there}});
  CHECK(world.Status().ok());
  REQUIRE(world.elsewhere.Requests().size() == 1);
  CHECK(world.elsewhere.Requests()[0].authorization.empty());
  CHECK(world.elsewhere.Requests()[0].path == there);
}

TEST_CASE("places that are not gone to") {
  World world;
  const std::string self = "/v2/kata/gpu/" + world.ImagePath();
  const Fault round{.kind = Kind::kElsewhere, .text = self};
  world.server.Suffer(world.ImagePath(), {round, round, round, round, round, round});
  CHECK_THAT(Text(world.Status()), Contains("leads from one place to the next"));
  world.clock.SleepFor(std::chrono::minutes(6));
  world.server.Suffer(world.ImagePath(),
                      {{.kind = Kind::kElsewhere, .text = "http://127.0.0.1:1/x"}});
  CHECK_THAT(Text(world.Status()), Contains("without TLS"));
  world.server.Suffer(world.ImagePath(),
                      {{.kind = Kind::kElsewhere, .text = "file:///etc/passwd"}});
  CHECK_FALSE(world.Status().ok());
}

TEST_CASE("a busy registry is given the time it asks for") {
  World world;
  world.server.Suffer("manifests/", {{.kind = Kind::kStatus, .status = 429, .retry_after = 7},
                                     {.kind = Kind::kStatus, .status = 503}});
  const TimePoint begin = world.clock.Now();
  CHECK(world.Status().ok());
  CHECK(world.clock.Now() - begin >= std::chrono::seconds(7));
  CHECK(world.clock.Now() - begin < std::chrono::seconds(60));
}

TEST_CASE("five tries, then another time") {
  World world;
  const Fault busy{.kind = Kind::kStatus, .status = 500};
  world.server.Suffer("manifests/", {busy, busy, busy, busy, busy, busy});
  CHECK(absl::IsUnavailable(world.Status()));
  CHECK(world.server.CountOf("manifests/") == 5);
}

TEST_CASE("refusals that time does not mend are not tried again") {
  World world;
  const auto [status, code] = GENERATE(std::pair{403, absl::StatusCode::kPermissionDenied},
                                       std::pair{404, absl::StatusCode::kNotFound},
                                       std::pair{400, absl::StatusCode::kInternal});
  world.server.Suffer("manifests/", {{.kind = Kind::kStatus, .status = status}});
  CHECK(world.Status().code() == code);
  CHECK(world.server.CountOf("manifests/") == 1);
}

TEST_CASE("a disk that is too full is seen before anything comes") {
  World world;
  world.space = {210'000, 1'000'000};
  const absl::Status status = world.Status();
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(Text(status), Contains("make room, or set artifactsDir"));
  CHECK(world.server.CountOf("blobs/") == 0);
}

TEST_CASE("a disk that fills up while something comes: what came goes, and room is there again") {
  World world;
  world.root.Directory("/art");
  const std::string disk = world.root.Of("/art").string();
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", disk.c_str(), "tmpfs", 0, "size=1m") != 0) {
    WARN("not run: a small disk needs the right to mount one");
    return;
  }
  // Others write, too.
  world.on_progress = [&](uint64_t arrived) {
    if (arrived < 30'000 || world.root.Exists("/art/theirs")) return;
    std::ofstream(disk + "/theirs") << std::string(4 << 20, 'x');
  };
  const absl::Status status = world.Status();
  INFO(Text(status));
  CHECK(absl::IsResourceExhausted(status));
  CHECK(world.server.CountOf(world.ImagePath()) == 1);
  CHECK(world.Partials() == 0);
  CHECK_FALSE(world.root.Exists("/art/cas/sha256/" + Sha256Of(kImage)));
  world.on_progress = {};
  std::filesystem::remove(disk + "/theirs");
  world.clock.SleepFor(std::chrono::minutes(6));  // until then it would only fill the disk again
  CHECK(world.Status().ok());
  CHECK(::umount2(disk.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("a tag is taken only where that is allowed, and looked up once an hour") {
  World world;
  RuntimeClass entry = world.Class(":v1");
  CHECK(absl::IsFailedPrecondition(world.Fetch(entry).status()));
  entry.artifacts.allow_tag = true;
  const auto first = world.Fetch(entry);
  REQUIRE(first.ok());
  world.server.AddArtifact({{"configuration-gpu.toml", "[hypervisor.qemu]\npath = \"/q\"\n"}});
  CHECK(world.Fetch(entry)->identity == first->identity);
  CHECK(world.server.CountOf("manifests/v1") == 1);
  world.clock.SleepFor(std::chrono::minutes(61));
  CHECK(world.Fetch(entry)->identity != first->identity);
}

TEST_CASE("an index is followed to the artefact for this machine") {
  World world;
  const auto entry = [](const std::string& digest, const char* arch, const char* os) {
    return "{\"digest\": \"" + digest + "\", \"size\": 1, \"platform\": {\"architecture\": \"" +
           arch + "\", \"os\": \"" + os + "\"}}";
  };
  const std::string other = "sha256:" + std::string(64, '0');
  const auto index = [&](const std::string& entries) {
    return world.server.AddManifest("{\"schemaVersion\": 2, \"manifests\": [" + entries + "]}",
                                    "i");
  };
  const std::string here =
      entry(world.digest, "amd64", "linux") + ", " + entry(world.digest, "arm64", "linux");
  const std::string good = index(here + ", " + entry(other, "unknown", "unknown"));
  CHECK(world.Fetch(world.Class("@" + good)).ok());
  const std::string none = index(entry(other, "riscv64", "linux"));
  CHECK(absl::IsNotFound(world.Fetch(world.Class("@" + none)).status()));
  const std::string two =
      index(here + ", " + entry(other, "amd64", "linux") + ", " + entry(other, "arm64", "linux"));
  CHECK(absl::IsFailedPrecondition(world.Fetch(world.Class("@" + two)).status()));
}

TEST_CASE("a server that nobody vouches for") {
  World world;
  world.root.File("/other.pem", world.elsewhere.ca_pem());
  world.config.registry_ca = "/other.pem";
  CHECK(absl::IsFailedPrecondition(
      world.fetcher->Fetch(world.Class("@" + world.digest), world.config, kArtifacts).status()));
}

TEST_CASE("a configuration that names files which did not come") {
  World world;
  world.digest = world.server.AddArtifact({{"configuration.toml", kToml}, {"vmlinuz", "kernel"}});
  CHECK_THAT(Text(world.Status()), Contains("names kata.image as hypervisor.qemu.image"));
  world.digest = world.server.AddArtifact({{"vmlinuz", "kernel"}});
  CHECK_THAT(Text(world.Status()), Contains("no file that ends in .toml"));
}
