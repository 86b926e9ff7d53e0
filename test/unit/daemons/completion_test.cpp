// SPDX-License-Identifier: Apache-2.0
//
// Scripts for completion, run by the shells they are for.
#include <catch2/catch.hpp>

#include "daemons/gpuhostctl/verbs.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using gpuhostctl::Verb;

namespace {

Verb Program() {
  const gpuhostctl::Flag json{.names = {"--json"}, .help = "for programs' eyes"};
  return {.name = "gpuhostctl",
          .verbs = {{.name = "status", .help = "what it's in", .flags = {json}},
                    {.name = "cc",
                     .help = "modes",
                     .verbs = {{.name = "get", .help = "read", .flags = {json}},
                               {.name = "set", .help = "write", .words = {"off", "devtools"}}}},
                    {.name = "vfio",
                     .help = "drivers",
                     .verbs = {{.name = "set"}, {.name = "bind", .passes_on = true}}}}};
}

// What `shell` prints for `script`, which can read the completion from the file $F; the program
// that it is for knows what `vfio bind` is passed on to.
std::string Run(const std::string& shell, const std::string& script) {
  fake::TempRoot root;
  root.File("/bin/gpuhostctl", R"(#!/bin/sh
[ "$*" = "vfio bind --help" ] && echo "  -a,--all  All of them
  --deny TEXT Needs: --all  Never these"
)");
  std::filesystem::permissions(root.Of("/bin/gpuhostctl"), std::filesystem::perms::owner_all);
  root.File("/_gpuhostctl", Completion(Program(), shell));
  const auto output =
      OutputOf(std::chrono::seconds(30),
               {.path = "/bin/" + shell,
                .arguments = {"-c", script},
                .environment = {"PATH=" + root.path() + "/bin:/usr/bin:/bin", "HOME=" + root.path(),
                                "D=" + root.path(), "F=" + root.Of("/_gpuhostctl").string()}});
  INFO(shell << ": " << Text(output.status()));
  REQUIRE(output.ok());
  return *output;
}

std::string Bash(const std::string& words, int at) {
  return Run("bash", fmt::format(". $F; COMP_WORDS=({}) COMP_CWORD={}; _gpuhostctl; "
                                 "echo ${{COMPREPLY[*]}}",
                                 words, at));
}

// compadd works only while a line is edited; it would leave out what does not begin with the word.
std::string Zsh(const std::string& how, const std::string& words, int at) {
  return Run("zsh", fmt::format("compadd() {{ shift; print -- $* }}; compdef() {{ }}; {}; "
                                "words=({}) CURRENT={}; _gpuhostctl",
                                how, words, at + 1));
}

std::string Fish(const std::string& line) {
  return Run("fish", fmt::format("source $F; complete -C '{}'", line));
}

}  // namespace

TEST_CASE("bash completes verbs, flags and known words") {
  CHECK(Bash("gpuhostctl c", 1) == "cc\n");
  CHECK(Bash("gpuhostctl cc ''", 2) == "get set\n");
  CHECK(Bash("gpuhostctl cc set d", 3) == "devtools\n");
  CHECK(Bash("gpuhostctl status --", 2) == "--json\n");
  CHECK(Bash("gpuhostctl nonsense ''", 2) == "\n");
  CHECK(Bash("gpuhostctl vfio bind --", 3) == "--all --deny\n");
}

TEST_CASE("zsh completes them, read by the user's own file or found in its function path") {
  for (const char* how : {"source $F", "fpath=($D); autoload -Uz _gpuhostctl"}) {
    CAPTURE(how);
    CHECK(Zsh(how, "gpuhostctl ''", 1) == "status cc vfio\n");
    CHECK(Zsh(how, "gpuhostctl cc ''", 2) == "get set\n");
    CHECK(Zsh(how, "gpuhostctl cc set ''", 3) == "off devtools\n");
    CHECK(Zsh(how, "gpuhostctl status ''", 2) == "--json\n");
    CHECK(Zsh(how, "gpuhostctl vfio bind ''", 3) == "--all --deny\n");
  }
}

TEST_CASE("fish completes them with what they are for") {
  CHECK(Fish("gpuhostctl s") == "status\twhat it's in\n");
  CHECK(Fish("gpuhostctl cc ") == "get\tread\nset\twrite\n");
  CHECK(Fish("gpuhostctl cc set ") == "devtools\noff\n");
  CHECK(Fish("gpuhostctl vfio set ") == "");
  CHECK(Fish("gpuhostctl vfio bind --a") == "--all\n");
  CHECK(Fish("gpuhostctl cc get --") == "--json\tfor programs' eyes\n");
}
