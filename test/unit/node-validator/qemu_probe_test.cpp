// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/qemu_probe.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "daemons/node-validator/observe/questions.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;
using Catch::Matchers::Contains;
using std::filesystem::perms;

namespace {

constexpr Duration kLimit = std::chrono::seconds(30);

// Speaks QMP as strictly as QEMU does: capabilities first, and it quits by request alone.
constexpr const char* kQemu = R"(#!/bin/sh
case "$*" in *"-machine none"*"-S"*"-qmp stdio"*) ;; *) echo "a machine?" >&2; exit 1 ;; esac
echo '{"QMP": {"version": {"qemu": {"micro": 9, "minor": 9, "major": 9}}, "capabilities": ["oob"]}}'
ready=
while read -r line; do
  case $ready$line in
    *'"qmp_capabilities"'*) ready=ready; echo '{"return": {}}' ;;
    ready*'"query-version"'*)
      echo '{"return": {"qemu": {"micro": 2, "minor": 1, "major": 9}, "package": "kata"}}' ;;
    ready*'"quit"'*) echo '{"return": {}}'; exit 0 ;;
    *) echo '{"error": {"class": "CommandNotFound", "desc": "Expecting capabilities"}}' ;;
  esac
done
sleep 1000
)";

// The machine's own root, for programs run in no other.
struct World {
  fake::TempRoot root;
  HostFs fs;
  Tree tree{fs};
  std::string program = root.Of("/qemu").string();

  void Install(const std::string& content, perms mode = perms(0755)) {
    root.File("/qemu", content);
    std::filesystem::permissions(program, mode);
  }
  absl::StatusOr<std::string> Probe(const std::string& content) {
    Install(content);
    return ProbeQemu(tree, program, kLimit);
  }
};

// A 64-bit ELF file with one segment, which names an interpreter.
std::string ElfWith(const std::string& interpreter) {
  std::string file(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  file.resize(64 + 56);
  const auto put = [&](size_t at, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) file[at + i] = static_cast<char>(value >> (8 * i));
  };
  put(16, 2, 2);   // executable
  put(18, 62, 2);  // x86-64
  put(20, 1, 4);
  put(32, 64, 8);  // program headers
  put(52, 64, 2);
  put(54, 56, 2);
  put(56, 1, 2);
  put(64, 3, 4);  // PT_INTERP
  put(64 + 8, 120, 8);
  put(64 + 32, interpreter.size() + 1, 8);
  put(64 + 40, interpreter.size() + 1, 8);
  return file + interpreter + std::string(1, '\0');
}

}  // namespace

TEST_CASE("a QEMU that runs tells its version, and is gone") {
  World world;
  const auto version = world.Probe(kQemu);
  INFO(Text(version.status()));
  REQUIRE(version.ok());
  CHECK(*version == "9.1.2");
}

TEST_CASE("Debian's QEMU, where it is installed, is asked in the same way") {
  World world;
  for (const char* program : {"/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-system-aarch64"}) {
    if (!world.tree.Exists(program)) continue;
    const auto version = ProbeQemu(world.tree, program, kLimit);
    INFO(Text(version.status()));
    REQUIRE(version.ok());
    CHECK(std::count(version->begin(), version->end(), '.') == 2);
  }
}

TEST_CASE("what keeps a program from running is told apart") {
  World world;
  const auto why = [&](const std::string& content) { return world.Probe(content).status(); };
  SECTION("no program for this kernel") {
    const absl::Status status =
        why("\x7f"
            "ELF and no more");
    CHECK(absl::IsFailedPrecondition(status));
    CHECK_THAT(Text(status), Contains("another architecture"));
  }
  SECTION("no interpreter of a script") {
    const absl::Status status = why("#! /no/such/shell -x\n");
    CHECK(absl::IsNotFound(status));
    CHECK_THAT(Text(status), Contains("its interpreter /no/such/shell is not there"));
  }
  SECTION("no dynamic linker") {
    const absl::Status status = why(ElfWith("/lib64/no-such-ld.so.9"));
    CHECK(absl::IsNotFound(status));
    CHECK_THAT(Text(status), Contains("its interpreter /lib64/no-such-ld.so.9 is not there"));
  }
  SECTION("no library") {
    const absl::Status status =
        why("#!/bin/sh\necho \"$0: error while loading shared libraries: libpixman-1.so.0: cannot "
            "open shared object file: No such file or directory\" >&2\nexit 127\n");
    CHECK(absl::IsNotFound(status));
    CHECK_THAT(Text(status), Contains("the library libpixman-1.so.0 is not there"));
  }
  SECTION("no right to execute it") {
    world.Install(kQemu, perms(0644));
    const absl::Status status = ProbeQemu(world.tree, world.program, kLimit).status();
    CHECK(absl::IsFailedPrecondition(status));
    CHECK_THAT(Text(status), Contains("noexec"));
  }
  SECTION("nothing at all") {
    const absl::Status status = ProbeQemu(world.tree, world.program, kLimit).status();
    CHECK(absl::IsNotFound(status));
    CHECK_THAT(Text(status), Contains("no such program"));
  }
  SECTION("a complaint of its own") {
    const absl::Status status = why("#!/bin/sh\necho 'no accelerator found' >&2\nexit 1\n");
    CHECK(absl::IsUnknown(status));
    CHECK_THAT(Text(status), Contains("no accelerator found"));
  }
  SECTION("another language") {
    const absl::Status status = why("#!/bin/sh\necho hello\n");
    CHECK(absl::IsDataLoss(status));
    CHECK_THAT(Text(status), Contains("'hello\n'"));
    CHECK(absl::IsDataLoss(why("#!/bin/sh\n")));
    CHECK(absl::IsDataLoss(why("#!/bin/sh\necho '{\"return\": {\"qemu\": 9}}'\n")));
  }
}

TEST_CASE("a QEMU that never answers is ended at its deadline") {
  World world;
  world.Install("#!/bin/sh\nsleep 1000\n");
  const auto status = ProbeQemu(world.tree, world.program, std::chrono::milliseconds(300)).status();
  CHECK(absl::IsDeadlineExceeded(status));
}

TEST_CASE("a program that others can write to is not run, nor one of another root") {
  World world;
  SystemClock clock;
  const std::string ran = world.root.Of("/ran").string();
  world.Install("#!/bin/sh\ntouch " + ran + "\n", perms(0777));
  gpu::Bar0Source registers(world.fs);
  CHECK(absl::IsPermissionDenied(AskNode(world.tree, {world.fs, clock, registers})
                                     ->Ask(Question::kQemu, world.program)
                                     .status()));
  world.Install("#!/bin/sh\ntouch " + ran + "\n");
  HostFs other(world.root.path());
  const Tree tree(other);
  gpu::Bar0Source others(other);
  CHECK(absl::IsUnavailable(
      AskNode(tree, {other, clock, others})->Ask(Question::kQemu, "/qemu").status()));
  CHECK(!world.root.Exists("/ran"));
}
