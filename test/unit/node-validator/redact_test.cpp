// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/redact.h"

#include <catch2/catch.hpp>

#include "daemons/node-validator/bundle/redact_text.h"

using namespace gpuhost::node_validator;
using Catch::Matchers::Contains;

namespace {

// Stands for a secret; of no kind that could be told by itself.
constexpr const char* kMark = "m4rk-r";

std::string With(std::string text) {
  for (size_t at = text.find('@', 0); at != std::string::npos; at = text.find('@', at + 1)) {
    if (text.substr(at, 6) == "@MARK@") text.replace(at, 6, kMark);
  }
  return text;
}

}  // namespace

TEST_CASE("free text loses what looks like a secret, and nothing else") {
  struct Case {
    const char *text, *clean;
  };
  const Case cases[] = {
      {"http://user:pass@host/x", "http://removed@host/x"},
      {"http://host/a@b", "http://host/a@b"},
      {"https://t0ken@host", "https://removed@host"},
      {"agent.https_proxy=user:pw@host:3128", "agent.https_proxy=removed@host:3128"},
      {"proxy user:p=w/x@host", "proxy removed@host"},
      {"mail me@example.com at 12:30", "mail me@example.com at 12:30"},
      {"gpu-mode@0000:41:00.0", "gpu-mode@0000:41:00.0"},
      {"Authorization: Bearer abcdefghij, x", "Authorization: Bearer removed, x"},
      {"bearer abcdefghij", "bearer removed"},
      {"basic auth is off", "basic auth is off"},
      {"t=eyJhbGciOiJIUzI1NiJ9.e30.abc end", "t=removed end"},
      {"Password: \"x y\"", "Password: \"removed\""},
      {"{\"pwd\": \"x \\\" y\", \"n\": 1}", "{\"pwd\": \"removed\", \"n\": 1}"},
      {"TOKEN=abc;next", "TOKEN=removed;next"},
      {"DB_PWD=abc next", "DB_PWD=removed next"},
      {"systemd.setenv=ANY=abc next", "systemd.setenv=removed next"},
      {"a token ring is no secret", "a token ring is no secret"},
      {"run x --api-token abc --verbose", "run x --api-token removed --verbose"},
      {"[\"--apikey\", \"abc\", \"b\"]", "[\"--apikey\", \"removed\", \"b\"]"},
      {"[\\\"--pass\\\",\\\"abc\\\"]", "[\\\"--pass\\\",\\\"removed\\\"]"},
      {"x --pass=abc", "x --pass=removed"},
      {"key nvapi-AbCdEf123456 here", "key removed here"},
      {"x-nvapi-AbCdEf123456", "x-removed"},
      {"ghp_0123456789abcdef", "removed"},
      {"AKIAIOSFODNN7EXAMPLE.", "removed"},
      {"GET /x?api_key=abc HTTP", "GET /x?removed HTTP"},
      {"https://h/b?X-Amz-Signature=00&n=1\"", "https://h/b?removed\""},
      {"what? nothing", "what? nothing"},
      {"k -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- rest", "k removed rest"},
      {"k -----BEGIN PRIVATE KEY-----\nMIIE", "k removed"},
      {"wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY", "removed"},
      {"SEV-SNP: RMP table physical range [0x0000000035600000 - 0x00000000755fffff]\n",
       "SEV-SNP: RMP table physical range [0x0000000035600000 - 0x00000000755fffff]\n"},
      {"sha256:b206139865c77358dcffb984b79d6e3073621b16aafffdefc29ffae5c5f063f5",
       "sha256:b206139865c77358dcffb984b79d6e3073621b16aafffdefc29ffae5c5f063f5"},
      {"\"result\": \"pass\", \"id\": \"SNP-KEYS\"", "\"result\": \"pass\", \"id\": \"SNP-KEYS\""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    CHECK(RedactText(one.text) == one.clean);
    CHECK(RedactText(one.clean) == one.clean);
  }
  CHECK(LooksSecret("password=x"));
  CHECK(!LooksSecret(RedactText("password=x https://a:b@c")));
}

TEST_CASE("text is cleaned once and for all, and in time proportional to its length") {
  for (const char* part :
       {"token", "token ", "token=", "@", "?", "a:b@", "http://", "-----BEGIN", "\"", "--pass ",
        "--pass,", "eyJ", "Bearer ", "sk-", "x?a=b ", "://@:", "nvapi-", "\\\""}) {
    std::string text;
    while (text.size() < (256u << 10)) text += part;
    CAPTURE(part);
    const std::string once = RedactText(text);
    CHECK(RedactText(once) == once);
  }
  // Any mixture of what has a meaning.
  constexpr const char* kPieces[] = {"token",
                                     "=",
                                     ":",
                                     "@",
                                     "://",
                                     "?",
                                     "\"",
                                     "'",
                                     " ",
                                     "\n",
                                     "/",
                                     "--pass",
                                     ",",
                                     "x",
                                     "\\",
                                     "bearer",
                                     "nvapi-1234567890",
                                     "-----BEGIN",
                                     "-----END",
                                     "removed"};
  uint32_t random = 1;
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int j = 0; j < 12; ++j) {
      random = random * 1664525 + 1013904223;
      text += kPieces[(random >> 16) % std::size(kPieces)];
    }
    const std::string once = RedactText(text);
    INFO(text);
    CHECK(RedactText(once) == once);
  }
}

TEST_CASE("of a configuration texts are kept under known keys alone") {
  struct Case {
    const char *path, *content;
  };
  const Case cases[] = {
      {"/etc/containerd/config.toml", "[plugins.x]\nanything = \"@MARK@\"\n"},
      {"/etc/containerd/config.toml", "[plugins.x]\nargs = [\"--quiet\", \"@MARK@\"]\n"},
      {"/etc/containerd/config.toml", "[plugins.x]\npwd = \"@MARK@\"\nbearer = \"@MARK@\"\n"},
      {"/etc/containerd/config.toml", "[plugins.x.registry.configs.\"@MARK@\".auth]\na = 1\n"},
      {"/etc/containerd/config.toml",
       "[stream_processors.o]\nargs = [\"--api-token\", \"@MARK@\"]"},
      {"/etc/containerd/config.toml", "[grpc]\naddress = \"user:@MARK@@host\"\n"},
      {"/etc/containerd/config.toml", "imports = [\"/x?sig=@MARK@\"]\n"},
      {"/etc/containerd/config.toml", "# @MARK@\nversion = 3\n"},
      {"/opt/kata/x.toml",
       "[hypervisor.qemu]\nkernel_params = \"agent.https_proxy=user:@MARK@@host quiet\"\n"},
      {"/opt/kata/x.toml", "[hypervisor.qemu]\nkernel_params = \"systemd.setenv=DB_PWD=@MARK@\"\n"},
      {"/opt/kata/x.toml", "[hypervisor.qemu]\nkernel_params = \"ngc=@MARK@ @MARK@\"\n"},
      {"/opt/kata/x.toml", "[agent.kata]\npolicy = \"@MARK@\"\n"},
      {"/var/lib/kubelet/config.yaml", "kind: K\nproviderID: \"@MARK@\"\n"},
      {"/var/lib/kubelet/config.yaml", "staticPodURL: https://h/?x=@MARK@\n"},
      {"/var/run/cdi/x.yaml", "kind: a/b\nannotations: {\"note\": \"@MARK@\"}\n"},
      {"/var/run/cdi/x.yaml",
       "devices: [{name: \"0\", containerEdits: {hooks: [{path: /x, args: [--pass, "
       "\"@MARK@\"]}]}}]"},
      {"/var/run/cdi/x.json", "{\"containerEdits\": {\"env\": [\"A=@MARK@\"]}}"},
      {"/var/run/cdi/x.json", "{\"annotations\": {\"a\": [[\"@MARK@\"]]}}"},
      {"/run/nvidia/gpuhost/kata-manager.json",
       "{\"reason\": \"GET https://h/b?X-Amz-Signature=@MARK@: 403\"}"},
      {"/run/nvidia/gpuhost/kata-manager.json", "{\"reason\": \"token: @MARK@\"}"},
      {"/run/nvidia/gpuhost/kata-manager.json", "{\"other\": \"@MARK@\"}"},
      {"/proc/cmdline", "ro cryptkey=@MARK@ @MARK@ systemd.setenv=A=@MARK@ iommu=pt\n"},
      {"/etc/systemd/system/containerd.service",
       "[Service]\nEnvironment = A=@MARK@\nExecStart = /usr/bin/containerd --token @MARK@\n"},
      {"/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
       "{\"Data\":{\"PodDeviceEntries\":[{\"PodUID\":\"@MARK@\"}],\"RegisteredDevices\":{}}}"},
      {"/etc/other", "@MARK@"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.path, one.content);
    const auto shown = Redact(one.path, With(one.content)).value_or("");
    CHECK(shown.find(kMark) == std::string::npos);
    CHECK(!LooksSecret(shown));
  }
}

TEST_CASE("keys that are secrets themselves are not kept") {
  const auto shown = Redact("/var/run/cdi/x.yaml",
                            "annotations: {nvapi-abcdefgh123: x, \"a:b@c\": y}\nkind: a/b\n");
  REQUIRE(shown);
  CHECK_THAT(*shown, !Contains("abcdefgh") && !Contains("a:b") && Contains("a/b"));
}

TEST_CASE("what checks read is kept") {
  const auto toml = Redact("/etc/containerd/config.toml",
                           "version = 3\nimports = [\"/a/*.toml\"]\n[plugins.p.containerd."
                           "runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\nx = 7\n"
                           "[plugins.p.containerd.runtimes.kata.options]\nConfigPath = \"/c\"\n");
  REQUIRE(toml);
  for (const char* kept :
       {"\"version\" = 3", "/a/*.toml", "io.containerd.kata.v2", "\"x\" = 7", "/c"}) {
    CHECK_THAT(*toml, Contains(kept));
  }
  CHECK(Redact("/proc/cmdline", "ro iommu=pt root=UUID=7c2e quiet\n") ==
        "ro iommu=pt root=removed quiet\n");
  const std::string line("/usr/bin/kubelet\0--config\0/c\0--node-ip\0x\0", 41);
  CHECK(Redact("/proc/12/cmdline", line)->find("/c") != std::string::npos);
  CHECK(Redact("/proc/12/cmdline", line)->find(std::string("\0x\0", 3)) == std::string::npos);
  CHECK(Redact("/lib/systemd/system/k.service", "[Service]\nExecStart=-/usr/bin/k --x y\n") ==
        "[Service]\nExecStart=/usr/bin/k\n");
}
