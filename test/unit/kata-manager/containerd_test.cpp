// SPDX-License-Identifier: Apache-2.0
//
// Against the real programs of containerd on this machine: what they make of the files that come
// out, before, between and after.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "libgpuhost/base/status.h"
#include "test/fake/mortal.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

struct Main {
  const char* title;
  int oldest, newest;   // containerd that takes it
  std::string text;     // "none": there is no file
  bool deadly = false;  // also for processes that die at each write, which takes long
};

const std::vector<Main> kMains = {
    {"none", 1, 9, "none", true},
    {"empty of schema 2", 1, 9, "version = 2\n"},
    {"with settings and comments", 1, 9,
     "# ours\nversion = 2\nroot = \"/data\" # big\n[plugins.\"io.containerd.grpc.v1.cri\"]\n"
     "  enable_selinux = true\n",
     true},
    {"with a handler", 1, 9,
     "version = 2\r\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\r\n"
     "runtime_type = \"io.containerd.runc.v2\"\r\n"
     "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\r\n"
     "SystemdCgroup = true\r\n"},
    {"schema 3 with imports", 2, 9,
     "version = 3\nimports = [\"conf.d/*.toml\"]\n[plugins.'io.containerd.cri.v1.runtime']\n"
     "enable_selinux = true\n"},
    {"schema 3 with a list", 2, 9, "version = 3\nimports = [\n 'other.toml',\n]\n"},
    {"schema 1", 1, 1, "[plugins.cri]\n  enable_selinux = true\n"},
};

int MajorOf(const std::string& program) {
  KataNode node(program);
  const auto found = node.deps().find_program({});
  return containerd::ParseVersion(*found->version())->major;
}

void Write(KataNode& node, const Main& main) {
  if (main.text != "none") node.root.File(kMain, main.text);
  node.root.File("/etc/containerd/other.toml", "[debug]\nlevel = \"debug\"\n");
}

ino_t InodeOf(KataNode& node, const char* path) {
  struct stat found {};
  ::stat(node.root.Of(path).c_str(), &found);
  return found.st_ino;
}

// What the handler is called in `dump`, with a key.
std::string KeyOf(const Flat& dump, const std::string& key) {
  return *containerd::HandlersIn(dump) + "kata-x." + key;
}

void ForEach(const std::function<void(KataNode&, const Main&)>& check) {
  for (const std::string& program : RealContainerds()) {
    const int major = MajorOf(program);
    for (const Main& main : kMains) {
      if (major < main.oldest || major > main.newest) continue;
      INFO(program << ", main file: " << main.title);
      KataNode node(program);
      Write(node, main);
      check(node, main);
    }
  }
}

}  // namespace

TEST_CASE(
    "the handler is there, everything else is as before, and taking it away restores the file") {
  for (const std::string& program : RealContainerds()) std::printf("with %s\n", program.c_str());
  ForEach([](KataNode& node, const Main& main) {
    const Flat before = *node.Dump();
    const Report report = node.Apply(kOneClass);
    INFO(report.Trouble());
    REQUIRE(report.AllWell());
    CHECK(report.runtime.restarted);
    CHECK(node.services.count == 1);

    Flat after = node.root.Exists(kMain) ? *node.Dump() : Flat();
    if (!after.empty()) {  // else only its own program, started for good, would read conf.d
      CHECK(after[KeyOf(after, "runtime_type")] == "\"io.containerd.kata.v2\"");
      CHECK(after[KeyOf(after, "options.ConfigPath")] == std::string("\"") + kVendor + "\"");
      const std::string own = KeyOf(after, "");
      std::erase_if(after, [&](const auto& entry) { return entry.first.starts_with(own); });
      CHECK(after == before);
    }

    const ino_t inode = InodeOf(node, kMain);
    const Report again = node.Apply(kOneClass);
    CHECK(again.AllWell());
    CHECK_FALSE(again.runtime.changed);
    CHECK(node.services.count == 1);
    CHECK(InodeOf(node, kMain) == inode);

    node.services.now += 3600;
    const Report gone = node.Apply("runtimeClasses: null\n");
    INFO(gone.Trouble());
    CHECK(gone.AllWell());
    CHECK(node.services.count == 2);
    CHECK(node.root.Exists(kMain) == (main.text != "none"));
    if (main.text != "none") CHECK(node.Content(kMain) == main.text);
    CHECK_FALSE(node.root.Exists(kOwn));
  });
}

TEST_CASE("a key that containerd does not know is caught before anything is written") {
  ForEach([](KataNode& node, const Main& main) {
    const Report report = node.Apply(kOneClass + "  handler: {snapshoter: erofs}\n");
    CHECK_THAT(report.Trouble(), Catch::Contains("would not take kata-x.snapshoter"));
    CHECK(node.root.Exists(kMain) == (main.text != "none"));
    if (main.text != "none") CHECK(node.Content(kMain) == main.text);
    CHECK_FALSE(node.root.Exists(kOwn));
    CHECK(node.services.count == 0);
  });
}

TEST_CASE("killed at any write, containerd takes the files, and the next process gets there") {
  int points = 0;
  ForEach([&](KataNode& node, const Main& main) {
    // Without a main file one containerd is enough.
    if (!main.deadly || (main.text == "none" && node.program != "/usr/bin/containerd")) return;
    for (bool there : {true, false}) {
      const std::string yaml = there ? kOneClass : "runtimeClasses: []\n";
      bool finished = false;
      for (int writes = 0; !finished; ++writes, ++points) {
        REQUIRE(writes < 100);
        CAPTURE(there, writes);
        {
          fake::Life life(writes);
          node.kernel.FailWritesWhile([&](const std::string&) { return life.Ended(); });
          node.Apply(yaml);
          finished = !life.WasEnded();
          node.kernel.FailWritesWhile({});
        }
        const auto dump = node.Dump();
        INFO(Text(dump.status()));
        REQUIRE(dump.ok());
        if (!finished) {  // back to where it began, for the next death
          node.services.now += 86'400;
          const Report back = node.Apply(there ? "runtimeClasses: []\n" : kOneClass);
          INFO(back.Trouble());
          REQUIRE(back.AllWell());
          node.services.now += 86'400;
        }
      }
      node.services.now += 86'400;
      const Report report = node.Apply(yaml);
      INFO(report.Trouble());
      CHECK(report.AllWell());
      CHECK_FALSE(report.runtime.changed);
    }
    if (main.text != "none") CHECK(node.Content(kMain) == main.text);
    CHECK(node.root.Exists(kMain) == (main.text != "none"));
  });
  std::printf("killed at %d points\n", points);
  CHECK(points > 20);
}

TEST_CASE("a class more, a class less") {
  ForEach([](KataNode& node, const Main&) {
    const std::string two = kOneClass + "- name: kata-y\n  configPath: " + kVendor + "\n";
    REQUIRE(node.Apply(two).AllWell());
    node.services.now += 3600;
    const Report one = node.Apply(kOneClass);
    INFO(one.Trouble());
    REQUIRE(one.AllWell());
    CHECK(one.runtime.restarted);
    const std::string all =
        node.Content(kMain) + (node.root.Exists(kOwn) ? node.Content(kOwn) : "");
    CHECK_THAT(all, Catch::Contains("kata-x"));
    CHECK_THAT(all, !Catch::Contains("kata-y"));
  });
}
