// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/splice.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace gpuhost::kata_manager::containerd;

namespace {

constexpr const char* kPath = "conf.d/gpuhost-kata.toml";
constexpr const char* kTables =
    "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata-x]\nruntime_type = \"t\"\n";

// Main files as people have them.
const std::vector<std::string> kMains = {
    "",
    "# nothing but a word\n",
    "version = 2\n",
    "version = 3",
    "version = 2 # the schema\r\nroot = \"/x\"\r\n",
    "version = 2\nimports = []\n",
    "version = 2\nimports = [ # none yet, [really]\n]\n",
    "imports = [\"/etc/a.toml\"]\nversion = 2\n",
    "version = 2\nimports = [\n  \"/etc/\u00e4\u00f6.toml\", # \u00fc, ]\n  \"b.toml\", "
    "\n]\n[grpc]\n  uid = 0\n",
    "\"\u00e9\" = 1\nversion = 3\nimports = ['a', 'b',]\n[plugins.\"x\"]\na = [[1, 2], []]\n",
    "root = \"/x\"\n[debug]\nlevel = \"info\"",
};

}  // namespace

TEST_CASE("an import comes in, and goes, and nothing else has changed") {
  const std::string text = GENERATE(from_range(kMains));
  CAPTURE(text);
  const auto with = WithImport("main", text, kPath);
  REQUIRE(with.ok());
  const auto before = ReadMainFile("main", text), after = ReadMainFile("main", *with);
  REQUIRE(after.ok());
  REQUIRE(after->imports.size() == before->imports.size() + 1);
  CHECK(after->imports.back().value == kPath);
  CHECK(after->version == before->version);
  CHECK(*WithImport("main", *with, kPath) == *with);
  const auto without = WithoutImport("main", *with, kPath);
  REQUIRE(without.ok());
  CHECK(*without == text);
  CHECK(*WithoutImport("main", text, kPath) == text);
}

TEST_CASE("what is added keeps to the place and the ends of lines") {
  CHECK(*WithImport("m", "version = 2\r\nroot = \"/x\"\r\n", "p") ==
        "version = 2\r\nimports = [\"p\"] # by gpuhost kata-manager\r\nroot = \"/x\"\r\n");
  CHECK(*WithImport("m", "imports = [\n  \"a\", # first\n]\n", "p") ==
        "imports = [\n  \"a\", \"p\", # first\n]\n");
}

TEST_CASE("an import that others have moved is still taken out") {
  CHECK(*WithoutImport("m", "imports = [\"p\", \"a\"]\n", "p") == "imports = [\"a\"]\n");
  CHECK(*WithoutImport("m", "imports = [\n  \"a\",\n  \"p\",\n  \"b\",\n]\n", "p") ==
        "imports = [\n  \"a\",\n  \"b\",\n]\n");
  CHECK(*WithoutImport("m", "imports = [ \"p\", ]\n", "p") == "imports = [  ]\n");
  const auto commented = WithoutImport("m", "imports = [\"a\", # x, y\n \"p\"]\n", "p");
  CHECK(absl::IsFailedPrecondition(commented.status()));
}

TEST_CASE("a block comes in, is replaced, and goes") {
  const std::string text = GENERATE(from_range(kMains));
  CAPTURE(text);
  const auto with = WithBlock("main", text, kTables);
  REQUIRE(with.ok());
  CHECK(Flatten("main", *with)
            ->contains(
                "plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata-x.runtime_type"));
  CHECK(with->starts_with(text));
  CHECK(*WithBlock("main", *with, kTables) == *with);
  const auto other = WithBlock("main", *with, "[a]\nb = 1\n");
  REQUIRE(other.ok());
  CHECK(WithoutBlock(*other) == text);
  CHECK(WithoutBlock(*with) == text);
  const bool ended = text.empty() || text.ends_with('\n');
  if (ended) CHECK(WithoutBlock(*with + "[later]\nx = 1\n") == text + "[later]\nx = 1\n");
}

TEST_CASE("a block stays where it is when somebody writes behind it or takes its blank line") {
  const std::string text = GENERATE(from_range(kMains));
  CAPTURE(text);
  const std::string later = "[later]\nx = 1\n", other = "[a]\nb = 1\n";
  const std::string with = *WithBlock("main", text, kTables);
  CHECK(*WithBlock("main", with + later, kTables) == with + later);
  CHECK(WithBlock("main", with + later, other)->ends_with(later));
  const size_t begin = with.find("# BEGIN");
  const size_t blank = begin > 1 && with[begin - 2] == '\r' ? 2 : 1;
  const std::string tight = with.substr(0, begin - blank) + with.substr(begin);
  const std::string whole = text.empty() || text.ends_with('\n') ? tight : with;
  CHECK(Flatten("main", WithoutBlock(whole + later)).ok());
  CHECK(Flatten("main", *WithBlock("main", whole + later, other)).ok());
}

TEST_CASE("keys that somebody writes behind a block do not become ours") {
  const std::string text = "version = 2\n[debug]\n";
  const std::string with = *WithBlock("main", text, kTables) + "level = \"debug\"\n";
  const auto again = WithBlock("main", with, kTables);
  REQUIRE(again.ok());
  CHECK(Flatten("main", *again)->at("debug.level") == "\"debug\"");
}

TEST_CASE("a table that is there already is not defined twice") {
  for (const std::string& text :
       {std::string(kTables), std::string("plugins = {}\n"),
        std::string("[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nruntimes = {}\n")}) {
    CAPTURE(text);
    CHECK(absl::IsFailedPrecondition(WithBlock("main", text, kTables).status()));
  }
}

TEST_CASE("what is no TOML, or no configuration of containerd, is refused with its place") {
  CHECK_THAT(Text(WithImport("main", "version = 2\nimports = [\n", kPath).status()),
             Catch::Contains("main:"));
  CHECK_THAT(Text(WithImport("main", "imports = \"x\"\n", kPath).status()),
             Catch::Contains("main:1:11: imports must be a list"));
  CHECK_THAT(Text(WithImport("main", "version = \"2\"\n", kPath).status()),
             Catch::Contains("version must be a number"));
}
