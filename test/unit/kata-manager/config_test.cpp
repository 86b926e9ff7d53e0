// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/config.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/change.h"
#include "daemons/kata-manager/handlers.h"
#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

std::string ErrorOf(const std::string& yaml) { return Text(ParseConfig("f", yaml).status()); }

}  // namespace

TEST_CASE("all ways to say that there are no classes") {
  for (const char* yaml : {"", "\n", "---\n", "{}", "runtimeClasses:\n", "runtimeClasses: null\n",
                           "runtimeClasses: []\n", "artifactsDir: /x\n"}) {
    CAPTURE(yaml);
    const auto config = ParseConfig("f", yaml);
    REQUIRE(config.ok());
    CHECK(config->classes.empty());
  }
}

TEST_CASE("the configuration of NVIDIA's kata-manager is taken") {
  const auto config = ParseConfig("f", R"(
artifactsDir: /opt/nvidia-gpu-operator/artifacts/runtimeclasses
runtimeClasses:
- name: kata-gpu
  nodeSelector: {}
  artifacts:
    url: nvcr.io/nvidia/cloud-native/kata-gpu-artifacts:ubuntu22.04-535.54.03
    pullSecret: ""
- name: kata-gpu-snp
  nodeSelector:
    "nvidia.com/cc.capable": "true"
  artifacts:
    url: nvcr.io/nvidia/x@sha256:0123
    pullSecret: nvcr
)");
  REQUIRE(config.ok());
  REQUIRE(config->classes.size() == 2);
  CHECK(config->artifacts_dir == "/opt/nvidia-gpu-operator/artifacts/runtimeclasses");
  CHECK(config->classes[0].artifacts.pull_secrets.empty());
  CHECK(config->classes[1].artifacts.pull_secrets == std::vector<std::string>{"nvcr"});
  CHECK(config->classes[1].node_selector.at("nvidia.com/cc.capable") == "true");
}

TEST_CASE("what is wrong is named with its place") {
  CHECK_THAT(ErrorOf("runtimeClasses:\n- nam: x\n"), Catch::StartsWith("f:2:3: 'nam' is unknown"));
  CHECK_THAT(ErrorOf("runtimeclasses: []\n"),
             Catch::StartsWith("f:1:1: 'runtimeclasses' is unknown"));
  CHECK_THAT(ErrorOf("cdi: {mode: mine}\n"),
             Catch::StartsWith("f:1:13: one of auto, off, verify is wanted"));
  CHECK_THAT(ErrorOf("cdi: {}\ncdi: {}\n"), Catch::StartsWith("f:2:1: 'cdi' is there twice"));
  CHECK_THAT(ErrorOf("runtimeClasses: {a: b}\n"), Catch::StartsWith("f:1:17: a list is wanted"));
  CHECK_THAT(ErrorOf("runtimeClasses: [\n"), Catch::StartsWith("f:2:1: "));
  CHECK_THAT(ErrorOf("runtimeClasses:\n- name: x\n"),
             Catch::Contains("artifacts.url or configPath"));
  CHECK_THAT(ErrorOf("runtimeClasses:\n- {name: x, configPath: a}\n"), Catch::Contains("absolute"));
  CHECK_THAT(ErrorOf("artifactsDir: tmp\n"), Catch::Contains("absolute"));
  const std::string one = "- {name: x, configPath: /a}\n";
  CHECK_THAT(ErrorOf("runtimeClasses:\n" + one + one), Catch::Contains("class x is there twice"));
  CHECK_THAT(ErrorOf("runtimeClasses:\n- {name: x, configPath: /a, artifacts: {allowTag: 1}}\n"),
             Catch::Contains("true or false"));
}

TEST_CASE("names of handlers that are not ours to take, or no names") {
  for (const char* name :
       {"runc", "nvidia", "nvidia-cdi", "", "-a", "a-", "A", "a/b", "..", "a_b"}) {
    CAPTURE(name);
    CHECK_FALSE(CheckHandlerName(name).ok());
  }
  CHECK_FALSE(CheckHandlerName(std::string(64, 'a')).ok());
  CHECK(CheckHandlerName(std::string(63, 'a')).ok());
  CHECK(CheckHandlerName("kata-qemu-nvidia-gpu-snp").ok());
}

TEST_CASE("values become what they are in TOML") {
  const auto config = ParseConfig("f", R"(
runtimeClasses:
- name: x
  configPath: /c
  kata:
    hypervisor.qemu: {default_memory: 8192, image: "8192", debug: true, params: a=b, list: [1, "2"]}
)");
  REQUIRE(config.ok());
  const auto& table = config->classes[0].kata.at("hypervisor.qemu");
  CHECK(table.at("default_memory") == "8192");
  CHECK(table.at("image") == "\"8192\"");
  CHECK(table.at("debug") == "true");
  CHECK(table.at("params") == "\"a=b\"");
  CHECK(table.at("list") == "[1, \"2\"]");
  CHECK_FALSE(IsTomlNumberOrBool("0123"));
  CHECK_FALSE(IsTomlNumberOrBool("1."));
  CHECK(IsTomlNumberOrBool("-1.50"));
  CHECK(Quoted("a\"b\\\n") == "\"a\\\"b\\\\\\u000a\"");
}

TEST_CASE("RuntimeClass objects") {
  const auto config = ParseConfig("f", R"(
runtimeClasses:
- {name: kata-x, configPath: /c, nodeSelector: {zone: "1"}, overhead: {memory: 10240Mi}}
)");
  CHECK(RenderRuntimeClasses(*config) == R"(---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: kata-x
  labels:
    app.kubernetes.io/managed-by: gpuhost
handler: kata-x
overhead:
  podFixed:
    "memory": "10240Mi"
scheduling:
  nodeSelector:
    "zone": "1"
)");
}

TEST_CASE("differences as patch(1) takes them") {
  CHECK(UnifiedDiff({"/f", "a\nb\nc\nd\ne\n", "a\nb\nc\nx\nd\ne\n"}) ==
        "--- /f\n+++ /f\n@@ -1,5 +1,6 @@\n a\n b\n c\n+x\n d\n e\n");
  CHECK(UnifiedDiff({"/f", std::nullopt, "a\n"}) == "--- /dev/null\n+++ /f\n@@ -0,0 +1,1 @@\n+a\n");
  CHECK(UnifiedDiff({"/f", "a", "b\n"}) ==
        "--- /f\n+++ /f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n");
  CHECK(UnifiedDiff({"/f", "a", "a"}).empty());
}

TEST_CASE("a number or truth value in a spelling that Kata takes for a text is refused") {
  const auto said = [](const std::string& value) {
    return ErrorOf("runtimeClasses:\n- {name: x, configPath: /c, kata: {a: {k: " + value + "}}}\n");
  };
  for (const char* value : {"0x4000", "0o40000", "16_384", "+4096", "04096", "1e4", "True", "TRUE",
                            "yes", "on", "Off", ".5", "-.inf", "1.", "[1, 0x2]"}) {
    CAPTURE(value);
    CHECK_THAT(said(value), Catch::Contains("another spelling"));
  }
  for (const char* value : {"'0x4000'", "\"yes\"", "4096", "-1.5", "true", "1.2.3", "0x",
                            "10.0.0.1", "8G", "e4", "a=b", "[1, '2', x]"}) {
    CAPTURE(value);
    CHECK(said(value).empty());
  }
}
