// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/cdi.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

const std::string kDirectory = "/var/run/cdi";
const std::string kPath = "/var/run/cdi/nvidia.com-pgpu.yaml";

Unit UnitOf(const std::string& id, std::vector<std::string> nodes) {
  return {.id = id, .nodes = std::move(nodes)};
}

const Resource kCdevs{
    "pgpu", {UnitOf("0", {"/dev/vfio/devices/vfio0"}), UnitOf("1", {"/dev/vfio/devices/vfio1"})}};
const Resource kGroups{"nvswitch", {UnitOf("42", {"/dev/vfio/42"})}};

struct Bench {
  absl::StatusOr<bool> Write(const Resource& resource) {
    return WriteCdi(fs, kDirectory, resource);
  }
  absl::Status RemoveStale(const std::vector<Resource>& resources) {
    return RemoveStaleCdi(fs, kDirectory, resources);
  }
  struct stat Stat() const {
    struct stat found {};
    REQUIRE(::stat(root.Of(kPath).c_str(), &found) == 0);
    return found;
  }

  fake::TempRoot root;
  HostFs fs{root.path()};
};

}  // namespace

TEST_CASE("a spec has the layout that NVIDIA's plugin writes") {
  CHECK(RenderCdi(kCdevs) == R"(---
# Written by gpuhost's sandbox-device-plugin, which replaces and removes it.
cdiVersion: 0.5.0
kind: nvidia.com/pgpu
devices:
    - name: "0"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/devices/vfio0
    - name: "1"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/devices/vfio1
containerEdits: {}
)");
}

TEST_CASE("with groups a spec names the group and not the container node") {
  CHECK(RenderCdi(kGroups) == R"(---
# Written by gpuhost's sandbox-device-plugin, which replaces and removes it.
cdiVersion: 0.5.0
kind: nvidia.com/nvswitch
devices:
    - name: "42"
      containerEdits:
        deviceNodes:
            - path: /dev/vfio/42
containerEdits: {}
)");
}

TEST_CASE("a spec is written whole, for all to read, over whatever had its name") {
  Bench bench;
  bench.root.File(kPath, "kind: nvidia.com/pgpu # of another program\n");
  REQUIRE(*bench.Write(kCdevs));
  CHECK(bench.root.Content(kPath) == RenderCdi(kCdevs));
  CHECK((bench.Stat().st_mode & 07777) == 0644);
  CHECK(bench.fs.List(kDirectory)->size() == 1);

  const ino_t inode = bench.Stat().st_ino;
  REQUIRE_FALSE(*bench.Write(kCdevs));
  CHECK(bench.Stat().st_ino == inode);
}

TEST_CASE("a spec without devices is removed, for it would be invalid") {
  Bench bench;
  CHECK(bench.Write({"pgpu", {}}).ok());
  REQUIRE(bench.Write(kCdevs).ok());
  CHECK(bench.Write({"pgpu", {}}).ok());
  CHECK_FALSE(bench.root.Exists(kPath));
}

TEST_CASE("only files that this program wrote are cleaned away") {
  Bench bench;
  CHECK(bench.RemoveStale({kCdevs}).ok());  // no directory yet
  REQUIRE(bench.Write(kCdevs).ok());
  REQUIRE(bench.Write(kGroups).ok());
  bench.root.File("/var/run/cdi/nvidia.com-gpu.yaml", "---\ncdiVersion: 0.5.0\n");
  bench.root.File("/var/run/cdi/other.com-nic.yaml", RenderCdi(kGroups));
  REQUIRE(bench.RemoveStale({kCdevs}).ok());
  CHECK(*bench.fs.List(kDirectory) == std::vector<std::string>{"nvidia.com-gpu.yaml",
                                                               "nvidia.com-pgpu.yaml",
                                                               "other.com-nic.yaml"});
}

TEST_CASE("what others write beside our file is complained of when it fails pods") {
  Bench bench;
  const auto complaints = [&] { return FindForeignCdi(bench.fs, kDirectory, {kCdevs}); };
  REQUIRE(bench.Write(kCdevs).ok());
  bench.root.File("/var/run/cdi/other.yaml", "---\ncdiVersion: 0.5.0\nkind: other.com/nic\n");
  bench.root.File("/var/run/cdi/notes.txt", "kind: nvidia.com/pgpu\n");
  CHECK(complaints().empty());

  bench.root.File("/etc/cdi/mine.json", R"({"cdiVersion": "0.6.0", "kind": "nvidia.com/pgpu"})");
  REQUIRE(complaints().size() == 1);
  CHECK(complaints()[0].find("/etc/cdi/mine.json also defines nvidia.com/pgpu") == 0);
  bench.root.File("/var/run/cdi/new.yaml", "cdiVersion: 1.1.0\nkind: other.com/nic\n");
  REQUIRE(complaints().size() == 2);
  CHECK(complaints()[0].find("/var/run/cdi/new.yaml has version 1.1.0") == 0);
  bench.root.File("/var/run/cdi/new.yaml", "cdiVersion:");
  bench.root.File("/etc/cdi/mine.json", "");
  CHECK(complaints().empty());
}
