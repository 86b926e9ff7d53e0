// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/run.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/kube/endpoint_source.h"
#include "daemons/common/service/log.h"
#include "daemons/node-validator/bundle/bundle.h"
#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/report/json.h"
#include "daemons/node-validator/report/publish.h"
#include "daemons/node-validator/report/text.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

namespace gpuhost::node_validator {
namespace {

Style StyleOf(const Options& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const bool unwanted = no_colour != nullptr && *no_colour != '\0';
  Style style{.colour = options.colours == Colours::kAlways ||
                        (options.colours == Colours::kAuto && terminal && !unwanted),
              .width = 100,
              .all = options.all};
  winsize size{};
  const char* columns = std::getenv("COLUMNS");
  if (terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = size.ws_col;
  } else if (columns != nullptr) {
    style.width = ParseDecimal(columns, 1000).value_or(style.width);
  }
  return style;
}

absl::StatusOr<kube::Labels> ReadLabels(const std::string& node, const std::string& kubeconfig) {
  GPUHOST_ASSIGN(const kube::Access access, kube::FindAccess(kubeconfig));
  const HostFs own;
  kube::EndpointSource source(own, access);
  kube::CurlClient http;
  kube::Client client(http, source);
  GPUHOST_ASSIGN(const kube::Node found, client.GetNode(node));
  return found.labels;
}

// Asked by nobody, the API server is left alone, also where it could be reached.
ClusterFacts AskCluster(const Options& options) {
  if (options.node_name.empty() && options.kubeconfig.empty()) return {};
  const auto access = kube::FindAccess(options.kubeconfig);
  if (!access.ok()) return {access.status(), access.status(), access.status()};
  const HostFs own;
  kube::EndpointSource source(own, *access);
  kube::CurlClient http;
  kube::Client client(http, source);
  return ObserveCluster(client, options.node_name);
}

// What gpuhost's services said, where this is the node itself.
Extras ReadLogs(const Options& options) {
  if (options.root != "/") return {};
  const auto said = OutputOf(std::chrono::seconds(10),
                             {.path = "/usr/bin/journalctl",
                              .arguments = {"--no-pager", "-n", "2000", "-u", "gpuhost-*"},
                              .environment = {}});
  if (!said.ok()) return {};
  return {{"logs/gpuhost.log", *said}};
}

Report ObserveAndJudge(const Options& options, const Tree& tree, Questions& questions,
                       Facts& facts) {
  facts = Observe(tree, questions, options.depth);
  facts.workload = options.workload;
  facts.only_handlers = options.handlers;
  facts.cluster = AskCluster(options);
  Report report = Judge(facts);
  report.captured = tree.captured();
  return report;
}

int StatusOf(const Report& report) {
  switch (VerdictOf(report)) {
    case Verdict::kReady:
      return kReady;
    case Verdict::kNotReady:
      return kNotReady;
    case Verdict::kDegraded:
      return kDegraded;
  }
  return kTrouble;
}

int Trouble(const absl::Status& status) {
  fmt::print(stderr, "node-validator: {}\n", Text(status));
  return kTrouble;
}

}  // namespace

int ListChecks(const Options& options) {
  fmt::print("{}", RenderList(StyleOf(options)));
  return kReady;
}

int Explain(const Options& options) {
  const Check* check = FindCheck(options.explain);
  if (check == nullptr) {
    return Trouble(Error(absl::StatusCode::kNotFound, "there is no check '{}'; --list names them",
                         options.explain));
  }
  fmt::print("{}", RenderExplanation(*check, StyleOf(options)));
  return kReady;
}

int ValidateOne(const Options& options) {
  service::StartLog("node-validator", service::Level::kInfo);
  HostFs node(options.root), own;
  SystemClock clock;
  ComponentWorld world{node, own, clock,
                       [&] { return ReadLabels(options.node_name, options.kubeconfig); },
                       [](const std::string& text) { service::Log(service::Level::kInfo, text); }};
  const absl::Status done = ValidateComponent(world, *options.component);
  service::Log(done.ok() ? service::Level::kInfo : service::Level::kError,
               done.ok() ? "validated" : "not validated",
               {{"component", options.component->component}, {"error", done}});
  return done.ok() ? kReady : kNotReady;
}

int ValidateNode(const Options& options) {
  HostFs fs(options.root);
  if (!fs.Exists("/proc") && !fs.Exists("/sys")) {
    return Trouble(Error(absl::StatusCode::kNotFound,
                         "{} is no node's root: it has neither /proc nor /sys", options.root));
  }
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  const Tree tree(fs);
  const auto questions = tree.captured() ? AskCapture(tree) : AskNode(tree, {fs, clock, registers});
  HostFs own;
  const std::string& directory = options.status_directory;
  if (!directory.empty()) {
    if (const absl::Status done = Withdraw(own, directory); !done.ok()) return Trouble(done);
  }
  Facts facts;
  const Report report = ObserveAndJudge(options, tree, *questions, facts);
  fmt::print("{}", options.json ? RenderReportJson(report) : RenderText(report, StyleOf(options)));
  if (!directory.empty()) {
    const absl::Status done = Publish(own, directory, report, std::time(nullptr));
    if (!done.ok()) return Trouble(done);
  }
  if (!options.bundle.empty()) {
    const CapturedTree captured = Capture(tree, *questions, facts);
    const absl::Status written = WriteBundle(options.bundle, report, captured, ReadLogs(options));
    if (!written.ok()) return Trouble(written);
    fmt::print(stderr, "node-validator: wrote {}\n", options.bundle);
  }
  return StatusOf(report);
}

}  // namespace gpuhost::node_validator
