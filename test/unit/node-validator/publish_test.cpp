// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/publish.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/report/json.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

constexpr std::time_t kNow = 1764300000;

// One sample of the text format: "name{key="value",...} number", by everything but the number.
// Source: Prometheus, exposition formats, text-based format.
struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  auto operator<=>(const Sample&) const = default;
};

Sample ParseSample(std::string_view line, size_t& at) {
  at = line.find_first_of("{ ");
  Sample sample{.name = std::string(line.substr(0, at)), .labels = {}};
  if (line.at(at) != '{') return sample;
  while (line.at(at) != '}') {
    const size_t equals = line.find('=', at);
    std::string& value = sample.labels[std::string(line.substr(at + 1, equals - at - 1))];
    REQUIRE(line.at(equals + 1) == '"');
    for (at = equals + 2; line.at(at) != '"'; ++at) {
      if (line.at(at) != '\\') {
        value += line.at(at);
      } else {
        const char escaped = line.at(++at);
        value += escaped == 'n' ? '\n' : escaped;
      }
    }
    ++at;
    REQUIRE((line.at(at) == ',' || line.at(at) == '}'));
  }
  ++at;
  return sample;
}

std::map<Sample, double> ParseGauges(const std::string& text) {
  std::map<Sample, double> samples;
  std::set<std::string> described;
  REQUIRE(text.ends_with('\n'));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    if (line.starts_with("# TYPE ")) {
      const size_t blank = line.find(' ', 7);
      CHECK(line.substr(blank) == " gauge");
      CHECK(described.insert(line.substr(7, blank - 7)).second);
    }
    if (line.starts_with('#')) continue;
    size_t at = 0;
    const Sample sample = ParseSample(line, at);
    CHECK(described.contains(sample.name));
    REQUIRE(line.at(at) == ' ');
    size_t used = 0;
    const double value = std::stod(line.substr(at + 1), &used);
    CHECK(at + 1 + used == line.size());
    CHECK(samples.emplace(sample, value).second);
  }
  return samples;
}

Sample CheckOk(const std::string& id, const std::string& severity, const std::string& subject) {
  return {"gpuhost_node_check_ok", {{"check", id}, {"severity", severity}, {"subject", subject}}};
}

}  // namespace

TEST_CASE("node-ready is there only after a report in which nothing is fatal") {
  fake::TempRoot root;
  HostFs fs(root.path());
  const Check check = *FindCheck("DISK");
  Report report;
  report.lines.push_back({&check, "", {.state = State::kFail}, Severity::kDegraded, {}});
  REQUIRE(Withdraw(fs, "/run/x").ok());
  REQUIRE(Publish(fs, "/run/x", report, kNow).ok());
  CHECK(root.Exists("/run/x/node-ready"));
  CHECK(root.Content("/run/x/node-validator.report.json") == RenderReportJson(report));

  REQUIRE(Withdraw(fs, "/run/x").ok());
  CHECK(!root.Exists("/run/x/node-ready"));
  report.lines[0].severity = Severity::kFatal;
  REQUIRE(Publish(fs, "/run/x", report, kNow).ok());
  CHECK(!root.Exists("/run/x/node-ready"));
  CHECK(root.Content("/run/x/node-validator.report.json") == RenderReportJson(report));
}

TEST_CASE("gauges say of each check whether it passed, and what has become of all") {
  fake::TempRoot root;
  HostFs fs(root.path());
  const Check disk = *FindCheck("DISK"), thp = *FindCheck("THP"),
              verity = *FindCheck("KATA-VERITY");
  const std::string odd = "a \"quoted\" back\\slash\nand = {all}, that";
  const auto line = [](const Check& check, State state, const std::string& subject = "") {
    return Line{&check, "", {.state = state, .subject = subject}, check.severity, {}};
  };
  Report report;
  report.lines = {line(disk, State::kFail), line(thp, State::kUnknown),
                  line(verity, State::kPass, "kata-a"), line(verity, State::kFail, odd),
                  line(verity, State::kSkipped, "kata-c")};
  REQUIRE(Withdraw(fs, "/run/x").ok());
  REQUIRE(Publish(fs, "/run/x", report, kNow).ok());
  const std::map<Sample, double> expected = {
      {CheckOk("DISK", "degraded", ""), 0},
      {CheckOk("KATA-VERITY", "fatal", "kata-a"), 1},
      {CheckOk("KATA-VERITY", "fatal", odd), 0},
      {{"gpuhost_node_checks", {{"result", "pass"}}}, 1},
      {{"gpuhost_node_checks", {{"result", "fail"}}}, 2},
      {{"gpuhost_node_checks", {{"result", "unknown"}}}, 1},
      {{"gpuhost_node_checks", {{"result", "skipped"}}}, 1},
      {{"gpuhost_node_verdict", {{"verdict", "ready"}}}, 0},
      {{"gpuhost_node_verdict", {{"verdict", "degraded"}}}, 0},
      {{"gpuhost_node_verdict", {{"verdict", "not-ready"}}}, 1},
      {{"gpuhost_node_validated_timestamp_seconds", {}}, kNow},
  };
  CHECK(ParseGauges(root.Content("/run/x/node-validator.prom")) == expected);

  report.lines = {line(disk, State::kPass), line(disk, State::kFail), line(disk, State::kPass)};
  const auto samples = ParseGauges(RenderGauges(report, kNow));
  CHECK(samples.at(CheckOk("DISK", "degraded", "")) == 0);
  CHECK(samples.at({"gpuhost_node_verdict", {{"verdict", "degraded"}}}) == 1);
}
