// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

// CRI-O before 1.31, which does not tell its handlers.
struct CrioNode : KataNode {
  CrioNode() {
    options.runtime = "crio";
    services.name = "crio.service";
    tells = false;
  }
};

}  // namespace

TEST_CASE("any key may be in our file of CRI-O, and what it has no place for is told") {
  for (const char* text : {"x=1\n", "[crio]\nlog_level = \"debug\"\n", "[crio.runtime.runtimes]\n",
                           "[crio.runtime.runtimes.a]\n", "a.b = [1]\n", "not TOML"}) {
    CAPTURE(text);
    CrioNode node;
    node.root.File("/etc/crio/crio.conf.d/99-gpuhost-kata.conf", text);
    const Report report = node.Apply(kOneClass + "  snapshotter: nydus\n  handler: {a: 1}\n");
    INFO(report.Trouble());
    CHECK(report.AllWell());
    CHECK(report.notes == std::vector<std::string>{
                              "class kata-x: CRI-O has no place for snapshotter, handler.a, which "
                              "is left out"});
  }
}

TEST_CASE("texts about CRI-O speak of CRI-O") {
  CrioNode node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  node.services.now += 60;
  CHECK_THAT(node.Apply("").Trouble(), Catch::Contains("CRI-O has been restarted 1 times"));
}

// CRI-O 1.37.0 reads every file below that directory, of any name, and stops on a broken one.
TEST_CASE("killed at any write, nothing of ours but the drop-in is where CRI-O reads everything") {
  CrioNode node;
  const auto names = [&] {
    return node.kernel.List("/etc/crio/crio.conf.d").value_or(std::vector<std::string>());
  };
  int written = 0;
  node.kernel.FailWritesWhile([&](const std::string& path) {
    if (path != "/etc/crio/crio.conf.d/99-gpuhost-kata.conf") return false;
    ++written;
    CHECK(node.root.Exists("/etc/crio/.99-gpuhost-kata.conf"));  // it is only renamed
    CHECK(names().size() <= 1);
    return false;
  });
  node.root.File("/etc/crio/crio.conf.d/99-gpuhost-kata.conf.tmp.AbCdEf", "left");
  node.root.File("/etc/crio/.99-gpuhost-kata.conf.tmp.AbCdEf", "left");
  REQUIRE(node.Apply(kOneClass).AllWell());
  CHECK(names() == std::vector<std::string>{"99-gpuhost-kata.conf"});
  CHECK(*node.kernel.List("/etc/crio") == std::vector<std::string>{"crio.conf.d"});
  CHECK(written == 1);
}
