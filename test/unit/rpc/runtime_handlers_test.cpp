// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/runtime_handlers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "daemons/common/rpc/fields.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/scripted_method.h"

using namespace gpuhost;
using namespace gpuhost::rpc;

namespace {

constexpr Duration kLimit = std::chrono::seconds(30);
constexpr const char* kContainerd = "/usr/bin/containerd";

// A field of protobuf with bytes.
std::string Bytes(char number, const std::string& bytes) {
  REQUIRE(bytes.size() < 128);
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) +
         bytes;
}
std::string Info(const std::string& key, const std::string& value) {
  return Bytes(2, Bytes(1, key) + Bytes(2, value));
}

// What is made of this StatusResponse.
absl::StatusOr<RuntimeHandlers> Answered(const std::string& response) {
  fake::TempRoot root;
  const std::string socket = root.Of("/cri.sock").string();
  const auto server =
      kubelet::ScriptedMethod::Start(socket, "/runtime.v1.RuntimeService/Status", response);
  REQUIRE(server.ok());
  return AskRuntimeHandlers(socket, kLimit);
}

// A containerd of its own, with this main file, until the object goes.
class Containerd {
 public:
  explicit Containerd(const std::string& tables) {
    root_.File("/config.toml",
               fmt::format("version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n"
                           "[grpc]\naddress = \"{1}\"\n"
                           "[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{0}/opt\"\n{2}",
                           root_.path(), socket(), tables));
    const std::string config = root_.Of("/config.toml").string();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const std::string log = root_.path() + "/log";
      if (std::freopen(log.c_str(), "w", stderr) == nullptr) ::_exit(127);
      ::execl(kContainerd, kContainerd, "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
  }
  ~Containerd() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  void ForgetFile() { root_.File("/config.toml", "version = 2\n"); }
  std::string socket() const { return root_.path() + "/c.sock"; }
  std::string Log() const { return root_.Exists("/log") ? root_.Content("/log") : ""; }

 private:
  fake::TempRoot root_;
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("containerd 2 names its handlers, the default one twice") {
  const auto handlers = Answered(Bytes(1, "") + Bytes(3, Bytes(1, "runc") + Bytes(2, "\x08\x01")) +
                                 Bytes(3, "") + Bytes(3, Bytes(1, "kata-x")) +
                                 Info("config", R"({"containerd":{"runtimes":{"other":{}}}})"));
  INFO(Text(handlers.status()));
  REQUIRE(handlers.ok());
  CHECK(*handlers == std::set<std::string>{"runc", "kata-x"});
}

TEST_CASE("older ones show their configuration") {
  const auto handlers = Answered(
      Info("golang", "\"go1\"") +
      Info("config", R"({"containerd":{"runtimes":{"kata-x":{"runtimeType":"t"},"runc":{}}}})"));
  REQUIRE(handlers.ok());
  CHECK(*handlers == std::set<std::string>{"runc", "kata-x"});
}

TEST_CASE("one that does not tell") {
  for (const std::string& response :
       {std::string(), Info("golang", "\"go1\""), Info("config", "[crio]\n"), Info("config", "[]"),
        Info("config", R"({"containerd":{"runtimes":[]}})"), Info("config", R"({"containerd":1})"),
        std::string("\x1a\x7f"), std::string("\xff\xff\xff")}) {
    CAPTURE(response);
    const auto handlers = Answered(response);
    REQUIRE(handlers.ok());
    CHECK_FALSE(handlers->has_value());
  }
}

TEST_CASE("no CRI, or nobody") {
  fake::TempRoot root;
  const std::string socket = root.Of("/cri.sock").string();
  CHECK(absl::IsUnavailable(AskRuntimeHandlers(socket, kLimit).status()));
  const auto server = kubelet::ScriptedMethod::Start(socket, "/another/Method", "");
  REQUIRE(server.ok());
  CHECK(absl::IsUnimplemented(AskRuntimeHandlers(socket, kLimit).status()));
}

TEST_CASE("fields of a message that is none") {
  CHECK(FieldsOf("").empty());
  CHECK(FieldsOf("\x0a\x05").empty());
  CHECK(FieldsOf("\x0f").empty());
  CHECK(FieldOf(std::string("\x08\x01\x12\x01x"), 2) == "x");
  CHECK(FieldOf("\x12\x01x", 1).empty());
}

TEST_CASE("a real containerd tells what it runs with, not what its files say by now") {
  if (::geteuid() != 0 || ::access(kContainerd, X_OK) != 0) {
    WARN("containerd cannot be started here; not tested");
    return;
  }
  const std::string plugin = "plugins.\"io.containerd.grpc.v1.cri\"";
  Containerd containerd(
      fmt::format("[{0}.containerd]\nsnapshotter = \"native\"\n"
                  "[{0}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n"
                  "[{0}.containerd.runtimes.kata-x]\nruntime_type = \"io.containerd.kata.v2\"\n",
                  plugin));
  SystemClock clock;
  absl::StatusOr<RuntimeHandlers> handlers;
  const absl::Status up =
      PollUntil(clock, kLimit, std::chrono::milliseconds(50), [&]() -> absl::StatusOr<bool> {
        handlers = AskRuntimeHandlers(containerd.socket(), kLimit);
        return handlers.ok();
      });
  INFO(containerd.Log());
  REQUIRE(up.ok());
  CHECK(*handlers == std::set<std::string>{"runc", "kata-x"});
  containerd.ForgetFile();
  CHECK(*AskRuntimeHandlers(containerd.socket(), kLimit) == *handlers);
}
