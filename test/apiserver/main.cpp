// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdlib>

#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/apiserver/transcript.h"

namespace {

using namespace gpuhost;

int Print(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) fmt::print("{}\n", line);
  return 0;
}

std::vector<std::string> OfScripted() {
  apiserver::ScriptedApiServer server;
  server.AddNode("transcript");
  server.AddNode("other");
  server.AddBudget({.name = "one", .match = {{"budget", "one"}}});
  for (const char* name : {"two", "three"}) {
    server.AddBudget({.name = name, .match = {{"budget", "several"}}});
  }
  const auto add = [&](const std::string& name, const apiserver::Texts& labels) {
    server.AddPod({.name = name, .node = "transcript", .labels = labels, .lingers = true});
  };
  add("plain", {});
  add("guarded", {{"budget", "one"}});
  add("torn", {{"budget", "several"}});
  return apiserver::Transcribe({server.admin(), server.stranger(), "transcript", "other",
                                [&](const std::string& version) { server.Forget(version); }});
}

std::vector<std::string> OfReal(apiserver::Parties parties, const std::string& forget_command) {
  parties.forget = [&](const std::string& version) {
    const std::string command = fmt::format("{} {}", forget_command, version);
    if (std::system(command.c_str()) != 0) fmt::print("'{}' failed\n", command);
  };
  return apiserver::Transcribe(parties);
}

}  // namespace

// api-transcript                                  of the scripted API server
// api-transcript ADMIN-KUBECONFIG STRANGER-KUBECONFIG NODE OTHER-NODE FORGET-COMMAND
int main(int argc, char** argv) {
  using namespace gpuhost;
  if (argc == 1) return Print(OfScripted());
  if (argc != 6) {
    fmt::print(stderr,
               "usage: api-transcript [ADMIN-KUBECONFIG STRANGER-KUBECONFIG NODE OTHER-NODE "
               "FORGET-COMMAND]\n");
    return 2;
  }
  const HostFs own;
  const auto admin = kube::LoadKubeconfig(own, argv[1]);
  const auto stranger = kube::LoadKubeconfig(own, argv[2]);
  for (const absl::Status& status : {admin.status(), stranger.status()}) {
    if (status.ok()) continue;
    fmt::print(stderr, "api-transcript: {}\n", Text(status));
    return 1;
  }
  return Print(OfReal({*admin, *stranger, argv[3], argv[4], {}}, argv[5]));
}
