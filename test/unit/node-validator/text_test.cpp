// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/text.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/report/json.h"
#include "daemons/node-validator/report/paint.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

Report ReportOf(const std::string& name) {
  test::NodeTree node(name);
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  return Judge(Observe(tree, *AskCapture(tree)));
}

std::string WithoutColours(std::string text) {
  for (size_t at = text.find('\x1b'); at != std::string::npos; at = text.find('\x1b', at)) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  return text;
}

size_t Widest(const std::string& text) {
  size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // A single word, as a path is, may be wider than what is left of a line.
    std::istringstream words(line);
    size_t longest = 0;
    for (std::string word; words >> word;) longest = std::max(longest, Columns(word));
    if (longest > 40 && line.find("....") == std::string::npos) continue;
    widest = std::max(widest, Columns(line));
  }
  return widest;
}

}  // namespace

TEST_CASE("a report keeps to the terminal's width, and colours change no word") {
  const std::string name =
      GENERATE("snp-healthy", "snp-iommu-pt", "no-acs", "hostile", "kata-settings");
  const size_t width = GENERATE(60u, 80u, 200u);
  const bool all = GENERATE(false, true);
  CAPTURE(name, width, all);
  const Report report = ReportOf(name);
  const std::string plain = RenderText(report, {.colour = false, .width = width, .all = all});
  const std::string coloured = RenderText(report, {.colour = true, .width = width, .all = all});
  CHECK(Widest(plain) <= width);
  CHECK(plain.find('\x1b') == std::string::npos);
  CHECK(coloured != plain);
  CHECK(WithoutColours(coloured) == plain);
}

TEST_CASE("nothing that a node says moves the cursor") {
  test::NodeTree node("snp-healthy");
  node.root().File("/proc/sys/kernel/hostname", "gpu\x1b[2J-7\n");
  node.root().File("/etc/containerd/config.toml", "version = 3\n\x1b]0;owned\x07 = 1\n");
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  const Report report = Judge(Observe(tree, *AskCapture(tree)));
  CHECK(RenderText(report, {.all = true}).find_first_of("\x1b\x07") == std::string::npos);
}

TEST_CASE("the JSON has every field of each check, and the causes") {
  const auto json = nlohmann::json::parse(RenderReportJson(ReportOf("snp-iommu-pt")));
  CHECK(json["schema"] == 1);
  CHECK(json["verdict"] == "not-ready");
  CHECK(json["technology"] == "SEV-SNP");
  CHECK(json["causes"] == nlohmann::json{"SNP-IOMMU"});
  size_t found = 0;
  for (const auto& check : json["checks"]) {
    for (const char* field : {"id", "group", "subject", "severity", "result", "observed",
                              "expected", "remedy", "evidence", "because_of"}) {
      CHECK(check.contains(field));
    }
    if (check["id"] != "SNP-PARAM") continue;
    ++found;
    CHECK(check["result"] == "fail");
    CHECK(check["because_of"] == "SNP-IOMMU");
    CHECK(check["evidence"] == "/sys/module/kvm_amd/parameters/sev_snp");
  }
  CHECK(found == 1);
}

TEST_CASE(
    "ids are unique, causes exist and come without circles, and every check says what to do") {
  std::set<std::string_view> ids;
  for (const Group& group : Catalogue()) {
    for (const Check& check : group.checks) {
      CAPTURE(check.id);
      CHECK(ids.insert(check.id).second);
      CHECK(FindCheck(check.id) == &check);
      CHECK(check.expected.size() > 0);
      CHECK(check.remedy.ends_with("."));
      CHECK(check.why.ends_with("."));
      for (const std::string_view cause : check.after) {
        REQUIRE(FindCheck(cause) != nullptr);
        CHECK(std::ranges::count(FindCheck(cause)->after, check.id) == 0);
      }
      const std::string text = RenderExplanation(check, {.width = 80});
      CHECK(text.find(check.title) != std::string::npos);
      CHECK(Widest(text) <= 80);
    }
  }
  CHECK(FindCheck("snp-iommu") == FindCheck("SNP-IOMMU"));
  CHECK(FindCheck("NOTHING") == nullptr);
}

TEST_CASE("the documentation names the checks that there are, with their severity") {
  std::ifstream file(std::string(GPUHOST_NODES) + "/../../../docs/validation.md");
  REQUIRE(file);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  size_t rows = 0;
  for (const Group& group : Catalogue()) {
    for (const Check& check : group.checks) {
      const std::string row =
          fmt::format("| `{}` | {} | {} |\n", check.id, ToString(check.severity), check.title);
      CAPTURE(row);
      CHECK(text.find(row) != std::string::npos);
      ++rows;
    }
  }
  size_t written = 0;
  for (size_t at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1)) {
    const std::string id = text.substr(at + 4, text.find('`', at + 4) - at - 4);
    const Check* check = FindCheck(id);
    written += check != nullptr && check->id == id ? 1 : 0;
  }
  CHECK(written == rows);
}

TEST_CASE("verdicts: what is fatal, degraded, only to know, or not known") {
  const auto with = [](State state, Severity severity) {
    static const Check check = *FindCheck("THP");
    Report report;
    report.lines.push_back({&check, "", {.state = state}, severity, {}});
    return VerdictOf(report);
  };
  CHECK(with(State::kFail, Severity::kFatal) == Verdict::kNotReady);
  CHECK(with(State::kFail, Severity::kDegraded) == Verdict::kDegraded);
  CHECK(with(State::kFail, Severity::kInfo) == Verdict::kReady);
  CHECK(with(State::kUnknown, Severity::kFatal) == Verdict::kDegraded);
  CHECK(with(State::kUnknown, Severity::kDegraded) == Verdict::kReady);
  CHECK(with(State::kSkipped, Severity::kFatal) == Verdict::kReady);
}

TEST_CASE("without root what only root may see is unknown, and said so") {
  test::NodeTree node("snp-healthy");
  for (const char* answer :
       {"opens@%dev%sev", "kvm-version", "gpu-mode@0000:41:00.0", "gpu-mode@0000:81:00.0"}) {
    node.root().File(fmt::format("/.gpuhost-capture/{}", answer), "error permission denied\n");
  }
  node.root().File("/.gpuhost-capture/superuser", "ok\nno");
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  const Report report = Judge(Observe(tree, *AskCapture(tree)));
  CHECK(report.Count(State::kFail) == 0);
  CHECK(report.Count(State::kUnknown) == 3);
  CHECK(VerdictOf(report) == Verdict::kDegraded);
  CHECK(RenderText(report, {}).find("run it as root") != std::string::npos);
}

TEST_CASE(
    "from a container, where programs and the kernel's log are out of reach, the rest is enough") {
  const std::string name = GENERATE("snp-healthy", "tdx-healthy");
  test::NodeTree node(name);
  for (const char* answer : {"version@%usr%bin%containerd", "version@%usr%bin%kubelet",
                             "kernel-log", "version@%opt%kata%bin%containerd-shim-kata-v2"}) {
    node.root().File(fmt::format("/.gpuhost-capture/{}", answer), "error out of reach\n");
  }
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  const Report report = Judge(Observe(tree, *AskCapture(tree)));
  CHECK(report.Count(State::kFail) == 0);
  CHECK(VerdictOf(report) == Verdict::kReady);
}

TEST_CASE("lines are wrapped and shortened by characters") {
  CHECK(Wrap("one two three", 2, 9) == "one two\n  three");
  CHECK(Wrap("/a/very/long/path x", 2, 9) == "/a/very/long/path\n  x");
  CHECK(Columns("ä…✔") == 3);
  CHECK(Shorten("äöü", 3) == "äöü");
  CHECK(Shorten("äöüß", 3) == "äö…");
}
