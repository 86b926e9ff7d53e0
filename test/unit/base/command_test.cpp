// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/command.h"

#include <signal.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using Catch::Matchers::Contains;

namespace {

constexpr Duration kLimit = std::chrono::seconds(30);

Command Shell(const std::string& script) {
  return {.path = "/bin/sh", .arguments = {"-c", script}, .environment = {"A=b c"}};
}

}  // namespace

TEST_CASE("a command's output comes back, its environment is what it was given") {
  CHECK(*OutputOf(kLimit, Shell("echo \"$A-$HOME\"; echo noise >&2")) == "b c-\n");
  CHECK(*OutputOf(kLimit, Shell("cat")) == "");
}

TEST_CASE("a command reads its input, and not the end of it") {
  Command command = Shell("read -r a; read -r b; echo \"$b $a\"");
  command.input = "one\ntwo\nthree";
  CHECK(*OutputOf(kLimit, command) == "two one\n");
  command.arguments.back() = "exit 0";  // whether it reads or not
  CHECK(OutputOf(kLimit, command).ok());
  command.arguments.back() = "cat >/dev/null";
  CHECK(absl::IsDeadlineExceeded(OutputOf(std::chrono::milliseconds(300), command).status()));
  command.arguments.back() = "head -c 4096 | wc -c";
  command.input = std::string(Command::kLongestInput, 'x');
  CHECK(*OutputOf(kLimit, command) == "4096\n");
  command.input += 'x';
  CHECK(absl::IsInvalidArgument(OutputOf(kLimit, command).status()));
}

TEST_CASE("a command that cannot be used says why") {
  CHECK(absl::IsNotFound(OutputOf(kLimit, {.path = "/no/such"}).status()));
  CHECK(absl::IsPermissionDenied(OutputOf(kLimit, {.path = "/etc/passwd"}).status()));
  fake::TempRoot root;
  const auto status_of = [&](const std::string& content) {
    root.File("/program", content);
    std::filesystem::permissions(root.Of("/program"), std::filesystem::perms::owner_all);
    return OutputOf(kLimit, {.path = root.Of("/program")}).status();
  };
  CHECK(absl::IsFailedPrecondition(status_of("neither this nor that")));
  CHECK(absl::IsFailedPrecondition(status_of("")));
  CHECK(absl::IsNotFound(status_of("#!/no/such/interpreter\n")));
  const auto failed = OutputOf(kLimit, Shell("echo broken >&2; exit 3")).status();
  CHECK(absl::IsUnknown(failed));
  CHECK_THAT(Text(failed), Contains("/bin/sh -c") && Contains(": broken"));
  CHECK(absl::IsUnknown(OutputOf(kLimit, Shell("kill -9 $$")).status()));
  auto loud = Shell("while :; do echo much; done");
  loud.longest_output = 1000;
  CHECK(absl::IsResourceExhausted(OutputOf(kLimit, loud).status()));
  CHECK(Text(OutputOf(kLimit, Shell("yes | head -c 100000 >&2; exit 1")).status()).size() < 2000);
}

TEST_CASE("nothing of a command is left when its time is up") {
  const Duration soon = std::chrono::milliseconds(300);
  CHECK(absl::IsDeadlineExceeded(OutputOf(soon, Shell("exec >&- 2>&-; sleep 1000")).status()));
  CHECK(absl::IsDeadlineExceeded(OutputOf(soon, Shell("sleep 1000 & wait")).status()));
}
