// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/node-validator/observe/containerd.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

Value Toml(const char* text) { return ParseToml(text).value(); }

constexpr const char* kEverything =
    "text = \"a \\\"quoted\\\" \\\\ line\\n\"\nnumber = -3\nflag = true\n"
    "list = [\"a\", {b = 1}, []]\n[a.\"b.c\"]\nd = \"\"\n[a.\"b.c\".e]\n";

}  // namespace

TEST_CASE("what is written is parsed to the same again") {
  const Value value = Toml(kEverything);
  CHECK(ParseToml(RenderToml(value)).value() == value);
  CHECK(ParseJson(RenderJson(value)).value() == value);
  CHECK(ParseYaml(RenderJson(value)).value().Text({"text"}) == value.Text({"text"}));
  CHECK(value.Integer({"number"}) == -3);
  CHECK(value.Text({"a", "b.c", "d"}) == "");
  CHECK(value.Text({"a", "b.c", "nothing"}) == std::nullopt);
  CHECK(value.Bool({"text"}) == std::nullopt);
  CHECK(value.Texts({"list"}) == std::vector<std::string>{"a"});
}

TEST_CASE("what cannot be parsed says where, and never hurts") {
  CHECK(ParseToml("a = 1\nb = [ , ]").status().message().find("line 2") == 0);
  CHECK(ParseYaml("a: 1\nb: [").status().message().find("line ") == 0);
  CHECK(!ParseYaml("just text").ok());
  CHECK(!ParseYaml(std::string(200'000, '[')).ok());
  CHECK(!ParseYaml("? [a]\n: b").ok());
  CHECK(!ParseJson("[1]").ok());
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100'000; ++i) deep += "[";
  CHECK(!ParseJson(deep).ok());
  CHECK(!ParseToml("a = " + std::string(100'000, '[')).ok());
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'm'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i)
      bomb += std::string(i == 0 ? "" : ",") + "*" + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  CHECK(!ParseYaml(bomb).ok());
}

TEST_CASE("versions are found in what programs print") {
  CHECK(FindVersion("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7") ==
        Version{2, 1, 4});
  CHECK(FindVersion("Kubernetes v1.34.2+k3s1") == Version{1, 34, 2});
  CHECK(FindVersion("containerd containerd.io 1.7.27 05044ec") == Version{1, 7, 27});
  CHECK(FindVersion("6.17.0-7-generic.0") == Version{6, 17, 0});
  CHECK(FindVersion("none").major == 0);
  CHECK(FindVersion("1.2") == Version{});
  CHECK(FindVersion("99999999999999999999.1.1").major == 99'999);
}

TEST_CASE("containerd 1.x replaces a plugin's section, 2.x puts sections together") {
  const std::vector<ConfigFile> files{
      {"/main", Toml("version = 2\nimports = [\"/a\"]\ndisabled_plugins = [\"x\"]\n"
                     "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox = \"s\"\n"
                     "[plugins.other]\nkept = 1\n[proxy_plugins.a]\ntype = \"snapshot\"\n")},
      {"/drop-in", Toml("version = 2\ndisabled_plugins = [\"y\"]\n"
                        "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_"
                        "type = \"k\"\n"
                        "[proxy_plugins.b]\ntype = \"snapshot\"\n")}};
  const Value old = MergeFiles(files, {1, 7, 0}), now = MergeFiles(files, {2, 1, 0});
  const char* cri = "io.containerd.grpc.v1.cri";
  CHECK(old.Find({"plugins", cri, "sandbox"}) == nullptr);
  CHECK(now.Text({"plugins", cri, "sandbox"}) == "s");
  for (const Value& merged : {old, now}) {
    CHECK(merged.Text({"plugins", cri, "containerd", "runtimes", "kata", "runtime_type"}) == "k");
    CHECK(merged.Integer({"plugins", "other", "kept"}) == 1);
    CHECK(merged.Texts({"disabled_plugins"}) == std::vector<std::string>{"x", "y"});
    CHECK(merged.TableAt({"proxy_plugins"}).size() == 2);
    CHECK(SchemaOf(merged) == 2);
  }
}

TEST_CASE("a drop-in's version counts where this containerd lets it") {
  const auto schema = [](const char* main, const char* dropin, Version version) {
    return SchemaOf(MergeFiles({{"/main", Toml(main)}, {"/drop-in", Toml(dropin)}}, version));
  };
  CHECK(schema("version = 3", "version = 2", {2, 1, 0}) == 2);
  CHECK(schema("version = 3", "version = 1", {2, 1, 0}) == 3);
  CHECK(schema("version = 3", "a = 1", {2, 1, 0}) == 3);
  CHECK(schema("version = 4", "version = 3", {2, 3, 0}) == 4);
  CHECK(SchemaOf(Toml("a = 1")) == 1);
  CHECK(NewestSchema({1, 6, 0}) == 2);
  CHECK(NewestSchema({2, 2, 0}) == 3);
  CHECK(NewestSchema({2, 3, 0}) == 4);
}

TEST_CASE(
    "imports are followed once each, relative ones from their file, and patterns may match none") {
  fake::TempRoot root;
  root.Directory(kCapture);
  root.File("/etc/containerd/config.toml",
            "version = 2\nimports = [\"conf.d/*.toml\", \"/gone.toml\", \"none/*.toml\"]\n");
  root.File("/etc/containerd/conf.d/a.toml",
            "imports = [\"/etc/containerd/config.toml\", \"more.toml\"]\n");
  root.File("/etc/containerd/conf.d/more.toml", "x = 1\n");
  root.File("/etc/containerd/conf.d/b.txt", "not read");
  const HostFs fs(root.path());
  const Tree tree(fs);
  const Containerd found = ObserveContainerd(tree, *AskCapture(tree), {});
  std::vector<std::string> paths;
  for (const ConfigFile& file : found.files) paths.push_back(file.path);
  CHECK(paths == std::vector<std::string>{"/etc/containerd/config.toml",
                                          "/etc/containerd/conf.d/a.toml",
                                          "/etc/containerd/conf.d/more.toml"});
  REQUIRE(found.missing.size() == 1);
  CHECK(found.missing[0].path == "/gone.toml");
  CHECK(found.missing[0].importer == "/etc/containerd/config.toml");
}
