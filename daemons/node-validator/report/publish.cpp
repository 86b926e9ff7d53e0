// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/publish.h"

#include "daemons/common/service/metrics.h"
#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/report/json.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

using service::Metrics;

constexpr const char* kOk = "gpuhost_node_check_ok";
constexpr const char* kChecks = "gpuhost_node_checks";
constexpr const char* kVerdict = "gpuhost_node_verdict";
constexpr const char* kValidated = "gpuhost_node_validated_timestamp_seconds";

Metrics::Labels LabelsOf(const Line& line) {
  return {{"check", std::string(line.check->id)},
          {"severity", std::string(ToString(line.severity))},
          {"subject", line.finding.subject}};
}

}  // namespace

std::string RenderGauges(const Report& report, std::time_t now) {
  Metrics metrics;
  metrics.Describe(kOk, Metrics::Type::kGauge, "1 where the check passed, 0 where it failed");
  metrics.Describe(kChecks, Metrics::Type::kGauge, "Checks by their result");
  metrics.Describe(kVerdict, Metrics::Type::kGauge, "1 for what the report says of the node");
  metrics.Describe(kValidated, Metrics::Type::kGauge, "When the node was looked at");
  for (const State state : {State::kPass, State::kFail}) {  // of equal labels a failure counts
    for (const Line& line : report.lines) {
      if (line.finding.state == state) metrics.Set(kOk, LabelsOf(line), state == State::kPass);
    }
  }
  for (const State state : {State::kPass, State::kFail, State::kUnknown, State::kSkipped}) {
    metrics.Set(kChecks, {{"result", std::string(ToString(state))}},
                static_cast<double>(report.Count(state)));
  }
  for (const Verdict verdict : {Verdict::kReady, Verdict::kNotReady, Verdict::kDegraded}) {
    metrics.Set(kVerdict, {{"verdict", std::string(ToString(verdict))}},
                VerdictOf(report) == verdict);
  }
  metrics.Set(kValidated, {}, static_cast<double>(now));
  return metrics.Render();
}

absl::Status Withdraw(HostFs& fs, const std::string& directory) {
  GPUHOST_TRY(fs.MakeDirectories(directory));
  return fs.Remove(directory + "/node-ready");
}

absl::Status Publish(HostFs& fs, const std::string& directory, const Report& report,
                     std::time_t now) {
  GPUHOST_TRY(fs.WriteFileAtomic(directory + "/node-validator.report.json",
                                 RedactText(RenderReportJson(report)), 0644));
  GPUHOST_TRY(
      fs.WriteFileAtomic(directory + "/node-validator.prom", RenderGauges(report, now), 0644));
  if (VerdictOf(report) == Verdict::kNotReady) return absl::OkStatus();
  return fs.WriteFileAtomic(directory + "/node-ready", "", 0644);
}

}  // namespace gpuhost::node_validator
