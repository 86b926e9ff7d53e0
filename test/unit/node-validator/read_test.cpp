// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "daemons/node-validator/observe/kubelet.h"
#include "daemons/node-validator/observe/processes.h"
#include "daemons/node-validator/observe/tee.h"
#include "daemons/node-validator/observe/unit.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

TEST_CASE("a tree is read without waiting, without end, and without leaving its root") {
  fake::TempRoot root;
  root.File("/etc/real", "inside\n");
  root.Link("/etc/absolute", "/etc/real");
  root.Link("/etc/escape", "../../../../../../../../etc/real");
  root.Link("/etc/loop", "loop");
  root.File("/etc/large", std::string(5000, 'x'));
  REQUIRE(::mkfifo(root.Of("/etc/fifo").c_str(), 0600) == 0);
  const HostFs fs(root.path());
  const Tree tree(fs);
  CHECK(!tree.captured());
  CHECK(tree.ReadLine("/etc/absolute").value() == "inside");
  CHECK(tree.ReadLine("/etc/escape").value() == "inside");
  CHECK(absl::IsNotFound(tree.Read("/etc/none").status()));
  CHECK(!tree.Read("/etc/loop").ok());
  CHECK(absl::IsFailedPrecondition(tree.Read("/etc/fifo").status()));
  CHECK(absl::IsFailedPrecondition(tree.ReadAt("/etc/fifo", 0, 4).status()));
  CHECK(absl::IsFailedPrecondition(tree.Read("/etc").status()));
  CHECK(absl::IsResourceExhausted(tree.Read("/etc/large", 4999).status()));
  CHECK(tree.Read("/etc/large", 5000).ok());
  CHECK(absl::IsOutOfRange(tree.ReadAt("/etc/large", 4999, 2).status()));
  CHECK(tree.Look("/etc/fifo")->kind == Kind::kFifo);
  // The same for who uses the file system below it.
  CHECK(absl::IsFailedPrecondition(fs.Read("/etc/fifo").status()));
  CHECK(absl::IsFailedPrecondition(fs.ReadAt("/etc/fifo", 0, 1).status()));
}

TEST_CASE("a tree is read while others rename their files") {
  fake::TempRoot root;
  root.File("/sys/devices/41/resource", "x\n");
  root.Link("/sys/bus/pci/devices/41", "../../../devices/41");
  root.File("/a", "");
  std::jthread others([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::filesystem::rename(root.Of("/a"), root.Of("/b"));
      std::filesystem::rename(root.Of("/b"), root.Of("/a"));
    }
  });
  const HostFs fs(root.path());
  const Tree tree(fs);
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(tree.Read("/sys/bus/pci/devices/41/resource").ok());
  }
}

TEST_CASE("a captured tree has what no unpacked archive can hold") {
  fake::TempRoot root;
  root.Directory(kCapture);
  const Entry device{.kind = Kind::kCharacterDevice, .mode = 0660, .uid = 3, .device = "10:232"};
  root.File("/dev/kvm", RenderStub(device, {}));
  root.File("/opt/image",
            RenderStub({.mode = 0644, .size = 900}, {{510, "\x55\xaa"}, {20, "abc"}}));
  root.File("/opt/bad", "gpuhost-stub 1\nkind 99\nsize -3\nat x zz\nat 5 0\n");
  const HostFs fs(root.path());
  const Tree tree(fs);
  REQUIRE(tree.captured());
  const Entry found = tree.Look("/dev/kvm").value();
  CHECK(found.kind == Kind::kCharacterDevice);
  CHECK(found.device == "10:232");
  CHECK(found.uid == 3);
  CHECK(tree.Look("/opt/image")->size == 900);
  CHECK(tree.ReadAt("/opt/image", 510, 2).value() == "\x55\xaa");
  CHECK(tree.ReadAt("/opt/image", 21, 2).value() == "bc");
  CHECK(absl::IsOutOfRange(tree.ReadAt("/opt/image", 21, 3).status()));
  CHECK(absl::IsFailedPrecondition(tree.Read("/opt/image").status()));
  CHECK(tree.Look("/opt/bad").ok());
}

TEST_CASE("a question has the answer that was captured, or says that there is none") {
  fake::TempRoot root;
  root.File("/.gpuhost-capture/kernel-log", "ok\nline\n");
  root.File("/.gpuhost-capture/version@%usr%bin%x", "error not allowed\n");
  const HostFs fs(root.path());
  const Tree tree(fs);
  const auto questions = AskCapture(tree);
  CHECK(questions->Ask(Question::kKernelLog).value() == "line\n");
  CHECK(Text(questions->Ask(Question::kVersion, "/usr/bin/x").status()) == "not allowed");
  CHECK(!questions->Ask(Question::kSuperuser).ok());
  root.File("/.gpuhost-capture/kvm-version",
            RenderAnswer(absl::PermissionDeniedError("for\nroot")));
  CHECK(questions->Ask(Question::kKvmVersion).status() == absl::PermissionDeniedError("for root"));
  CHECK(questions->asked().size() == 4);
}

TEST_CASE("words of a kernel's command line, of misc.capacity and of Go") {
  CHECK(SplitCommandLine("a  b=\"c d\"\n") == std::vector<std::string>{"a", "b=c d"});
  CHECK(SplitCommandLine("\"open").size() == 1);
  CHECK(MiscLine("sev_es 99\nsev 410\n", "sev") == 410);
  CHECK(MiscLine("sev_es 99\n", "sev") == std::nullopt);
  CHECK(MiscLine("tdx_x 9\ntdx 7", "tdx") == 7);
  CHECK(MiscLine("sev many", "sev") == std::nullopt);
  CHECK(IsOn(std::string("Y")));
  CHECK(IsOn(std::string("1")));
  CHECK(!IsOn(std::string("N")));
  CHECK(!IsOn(std::string("")));

  CHECK(ParseGoDuration("20m") == 1200);
  CHECK(ParseGoDuration("1h5m") == 3900);
  CHECK(ParseGoDuration("1200s") == 1200);
  CHECK(ParseGoDuration("2m0s") == 120);
  CHECK(ParseGoDuration("1.5s") == 1.5);
  CHECK(ParseGoDuration("0") == 0);
  for (const char* wrong : {"", "m", "20", "20 m", "20x", "-5m", "9999999999999999999h"}) {
    CAPTURE(wrong);
    CHECK(ParseGoDuration(wrong) == std::nullopt);
  }
}

TEST_CASE("options of a process, whichever way they are written") {
  const Process process{
      .pid = 1, .program = {}, .arguments = {"x", "--a=1", "-b", "2", "--c", "--a", "3", "d"}};
  CHECK(process.Option("a") == "3");
  CHECK(process.Option("b") == "2");
  CHECK(process.Option("d") == std::nullopt);
}

TEST_CASE("drop-ins of a unit win by directory and by name") {
  fake::TempRoot root;
  root.File("/lib/systemd/system/x.service",
            "[Unit]\nRestart=no\n[Service]\nKillMode=process\nRestart=always\n");
  root.File("/lib/systemd/system/x.service.d/50-a.conf", "[Service]\nKillMode=mixed\n");
  root.File("/etc/systemd/system/x.service.d/50-a.conf", "[Service]\nKillMode=none\n");
  root.File("/etc/systemd/system/x.service.d/40-b.conf", "[Service]\nKillMode=first\n");
  const HostFs fs(root.path());
  const Tree tree(fs);
  const Unit unit = ReadUnit(tree, "x.service");
  CHECK(unit.path == "/lib/systemd/system/x.service");
  CHECK(unit.settings.at("KillMode") == "none");
  CHECK(unit.settings.at("Restart") == "always");
  CHECK(ReadUnit(tree, "y.service").path.empty());
}
