// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <variant>

#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/settings.h"

namespace gpuhost::cc_manager {

struct Options {
  bool standalone = false;  // without Kubernetes
  // On a node without label, and without Kubernetes. An error stays one until it is needed: a label
  // wins.
  absl::StatusOr<cc::Mode> mode = cc::Mode::kOn;
  bool mode_fixed = false;  // the command line said it: a configuration file does not change it
  std::string config_path;  // where the rest is read again on SIGHUP; empty: nowhere
  std::string node_name;
  std::string kubeconfig;                    // empty: the pod's service account, else $KUBECONFIG
  std::string operator_namespace;            // empty: our own
  std::string http_address;                  // metrics and probes; empty: none
  bool once = false;                         // one pass, then exit
  bool dry_run = false;                      // print the plan, change nothing
  bool json = false;                         // print it as JSON
  std::optional<uid_t> api_user = kApiUser;  // of the side that talks; nullopt: who started us
  std::string root = "/";
  bool verbose = false;
  Settings settings;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::cc_manager
