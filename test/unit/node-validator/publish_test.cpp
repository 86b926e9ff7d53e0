// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/publish.h"

#include <catch2/catch.hpp>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/report/json.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

TEST_CASE("node-ready is there only after a report in which nothing is fatal") {
  fake::TempRoot root;
  HostFs fs(root.path());
  const Check check = *FindCheck("DISK");
  Report report;
  report.lines.push_back({&check, "", {.state = State::kFail}, Severity::kDegraded, {}});
  REQUIRE(Withdraw(fs, "/run/x").ok());
  REQUIRE(Publish(fs, "/run/x", report).ok());
  CHECK(root.Exists("/run/x/node-ready"));
  CHECK(root.Content("/run/x/node-validator.report.json") == RenderReportJson(report));

  REQUIRE(Withdraw(fs, "/run/x").ok());
  CHECK(!root.Exists("/run/x/node-ready"));
  report.lines[0].severity = Severity::kFatal;
  REQUIRE(Publish(fs, "/run/x", report).ok());
  CHECK(!root.Exists("/run/x/node-ready"));
  CHECK(root.Content("/run/x/node-validator.report.json") == RenderReportJson(report));
}
