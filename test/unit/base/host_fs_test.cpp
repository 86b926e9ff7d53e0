// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/host_fs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

namespace {

constexpr Duration kGenerous = std::chrono::seconds(60);

}  // namespace

TEST_CASE("paths are looked up below the root") {
  fake::TempRoot root;
  root.File("/sys/class/a/name", "value\n");
  root.Link("/sys/class/b", "../elsewhere/vfio-pci");
  const HostFs fs(root.path() + "/");
  CHECK(fs.Read("/sys/class/a/name").value() == "value\n");
  CHECK(fs.ReadAttribute("/sys/class/a/name").value() == "value");
  CHECK(fs.ReadLink("/sys/class/b").value() == "../elsewhere/vfio-pci");
  CHECK(fs.LinkName("/sys/class/b").value() == "vfio-pci");
  CHECK(fs.List("/sys/class").value() == std::vector<std::string>{"a", "b"});
  CHECK(absl::IsNotFound(fs.Read("/sys/class/c").status()));
  CHECK(absl::IsNotFound(fs.List("/none").status()));
  CHECK(HostFs("/").Resolve("/sys") == "/sys");
}

TEST_CASE("an attribute is written, never created") {
  fake::TempRoot root;
  root.File("/sys/reset", "");
  HostFs fs(root.path());
  REQUIRE(fs.Write("/sys/reset", "1").ok());
  CHECK(root.Content("/sys/reset") == "1");
  const absl::Status missing = fs.Write("/sys/rest", "1");
  CHECK(absl::IsNotFound(missing));
  CHECK_FALSE(root.Exists("/sys/rest"));
  CHECK(Text(missing).find("write '1' to /sys/rest") == 0);
}

TEST_CASE("a write in a child does the write and brings back the errno") {
  fake::TempRoot root;
  root.File("/attribute", "");
  HostFs fs(root.path());
  REQUIRE(fs.WriteWithin(std::chrono::seconds(30), "/attribute", "on").ok());
  CHECK(root.Content("/attribute") == "on");
  CHECK(absl::IsNotFound(fs.WriteWithin(std::chrono::seconds(30), "/none", "on")));
}

TEST_CASE("a file is replaced as a whole") {
  fake::TempRoot root;
  root.File("/run/a.json", "old and longer");
  HostFs fs(root.path());
  REQUIRE(fs.WriteFileAtomic("/run/a.json", "new", 0644).ok());
  CHECK(root.Content("/run/a.json") == "new");
  struct stat info {};
  REQUIRE(::stat(root.Of("/run/a.json").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0644);
  CHECK(fs.List("/run").value() == std::vector<std::string>{"a.json"});

  CHECK_FALSE(fs.WriteFileAtomic("/none/a.json", "x", 0644).ok());
  root.Directory("/run/taken/x");
  CHECK_FALSE(fs.WriteFileAtomic("/run/taken", "x", 0644).ok());
  CHECK(fs.List("/run").value() == std::vector<std::string>{"a.json", "taken"});
}

TEST_CASE("directories are made and files removed without complaint when already so") {
  fake::TempRoot root;
  HostFs fs(root.path());
  REQUIRE(fs.MakeDirectories("/run/nvidia/gpuhost").ok());
  REQUIRE(fs.MakeDirectories("/run/nvidia/gpuhost").ok());
  CHECK(fs.Remove("/run/nvidia/none").ok());
  root.File("/run/file", "");
  CHECK_FALSE(fs.MakeDirectories("/run/file/below").ok());
}

TEST_CASE("a directory is listed by what an attribute of its entries begins with") {
  fake::TempRoot root;
  root.File("/devices/b/vendor", "0x10de\n");
  root.File("/devices/a/vendor", "0x10de");
  root.File("/devices/c/vendor", "0x8086\n");
  root.File("/devices/d/vendor", "0x1");
  root.Directory("/devices/e");
  root.Directory("/devices/f/vendor");
  root.File("/devices/g", "0x10de");
  const HostFs fs(root.path());
  CHECK(fs.ListWith("/devices", "vendor", "0x10de").value() == std::vector<std::string>{"a", "b"});
  CHECK(absl::IsNotFound(fs.ListWith("/none", "vendor", "0x10de").status()));
}

TEST_CASE("bytes at an offset, all or an error") {
  fake::TempRoot root;
  root.File("/config", "0123456789");
  HostFs fs(root.path());
  CHECK(fs.ReadAt("/config", 4, 2).value() == "45");
  CHECK(absl::IsOutOfRange(fs.ReadAt("/config", 9, 2).status()));
  REQUIRE(fs.WriteAt("/config", 4, "xy").ok());
  CHECK(root.Content("/config") == "0123xy6789");
}

TEST_CASE("names of files and directories are moved, added and removed") {
  fake::TempRoot root;
  HostFs fs(root.path());
  root.File("/a/file", "1");
  REQUIRE(fs.Rename("/a", "/b").ok());
  CHECK(root.Content("/b/file") == "1");
  CHECK(absl::IsNotFound(fs.Rename("/a", "/c")));
  REQUIRE(fs.HardLink("/b/file", "/same").ok());
  CHECK(root.Content("/same") == "1");
  CHECK(absl::IsAlreadyExists(fs.HardLink("/b/file", "/same")));
  REQUIRE(fs.ReplaceLink("/current", "b").ok());
  REQUIRE(fs.ReplaceLink("/current", "c").ok());
  CHECK(*fs.ReadLink("/current") == "c");
  root.Link("/b/out", "../same");
  REQUIRE(fs.RemoveTree("/b").ok());
  CHECK_FALSE(fs.Exists("/b"));
  CHECK(root.Content("/same") == "1");
  CHECK(fs.RemoveTree("/b").ok());
}

TEST_CASE("a file that is replaced keeps its owner") {
  if (::geteuid() != 0) {
    WARN("not run: it takes root to give files away");
    return;
  }
  fake::TempRoot root;
  HostFs fs(root.path());
  root.File("/file", "1");
  const std::string path = root.Of("/file").string();
  REQUIRE(::chown(path.c_str(), 12, 34) == 0);
  REQUIRE(fs.WriteFileAtomic("/file", "2", 0640).ok());
  struct stat now {};
  REQUIRE(::stat(path.c_str(), &now) == 0);
  CHECK(now.st_uid == 12);
  CHECK(now.st_gid == 34);
  CHECK((now.st_mode & 07777) == 0640);
}

TEST_CASE("no link is followed where processes with fewer rights may write, too") {
  fake::TempRoot root;
  HostFs fs(root.path());
  root.File("/etc/secret", "kept");
  root.Directory("/run/nvidia/gpuhost");
  root.Link("/run/nvidia/gpuhost/flight", root.path() + "/etc");
  CHECK(absl::IsFailedPrecondition(fs.WriteFileAtomic("/run/nvidia/gpuhost/flight/x", "1", 0644)));
  CHECK(absl::IsFailedPrecondition(fs.Remove("/run/nvidia/gpuhost/flight/secret")));
  CHECK(absl::IsFailedPrecondition(fs.Rename("/run/nvidia/gpuhost/flight/secret", "/x")));
  CHECK(absl::IsFailedPrecondition(fs.HardLink("/etc/secret", "/run/nvidia/gpuhost/flight/x")));
  CHECK(absl::IsFailedPrecondition(fs.ReplaceLink("/run/nvidia/gpuhost/flight/x", "y")));
  CHECK(absl::IsFailedPrecondition(fs.MakeDirectories("/run/nvidia/gpuhost/flight/x")));
  const absl::Status status = fs.PrivateDirectory("/run/nvidia/gpuhost/flight").status();
  CHECK(Text(status).find("'flight' is a link") != std::string::npos);
  CHECK(fs.List("/etc").value() == std::vector<std::string>{"secret"});
  // The last name is replaced and not followed.
  root.Link("/run/nvidia/gpuhost/a.json", root.path() + "/etc/secret");
  REQUIRE(fs.WriteFileAtomic("/run/nvidia/gpuhost/a.json", "new", 0644).ok());
  CHECK(root.Content("/etc/secret") == "kept");
  // Elsewhere links are an administrator's.
  root.Link("/var/run", "../run");
  root.Directory("/run/cdi");
  CHECK(fs.WriteFileAtomic("/var/run/cdi/x.yaml", "1", 0644).ok());
}

TEST_CASE("a private directory is closed to others, also one that was open before") {
  fake::TempRoot root;
  HostFs fs(root.path());
  const auto mode = [&] {
    struct stat info {};
    ::stat(root.Of("/run/nvidia/gpuhost/lock").c_str(), &info);
    return info.st_mode & 07777;
  };
  REQUIRE(fs.MakeDirectories("/run/nvidia/gpuhost/lock").ok());
  CHECK(mode() == 0755);
  REQUIRE(fs.PrivateDirectory("/run/nvidia/gpuhost/lock").ok());
  CHECK(mode() == 0700);
}

TEST_CASE("what may never return is read by a child") {
  fake::TempRoot root;
  HostFs fs(root.path());
  root.File("/attribute", "value\n");
  root.File("/config", "0123456789");
  CHECK(*fs.ReadWithin(kGenerous, "/attribute") == "value");
  CHECK(absl::IsNotFound(fs.ReadWithin(kGenerous, "/none").status()));
  CHECK(*fs.ReadAtWithin(kGenerous, "/config", 4, 2) == "45");
  CHECK(absl::IsOutOfRange(fs.ReadAtWithin(kGenerous, "/config", 9, 2).status()));
}
