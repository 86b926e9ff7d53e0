// SPDX-License-Identifier: Apache-2.0
//
// Where the API server is and how to prove who we are. Tokens and certificates rotate, so this is
// read anew for each request and never kept.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kube {

// A program that gets the credential from elsewhere, as cloud providers' kubeconfigs name one.
struct ExecPlugin {
  std::string api_version;  // client.authentication.k8s.io/v1 or v1beta1
  std::string command;      // absolute path
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value", added to that of this process
  bool wants_cluster = false;            // it is told which server the credential is for
};

struct Endpoint {
  std::string server;           // "https://10.0.0.1:6443", without a slash at the end
  std::string ca_pem;           // authorities that may vouch for it; empty: those of the system
  std::string server_name;      // to be found in its certificate; empty: the host of `server`
  std::string proxy;            // empty: as the environment says (HTTPS_PROXY, NO_PROXY)
  std::string certificate_pem;  // ours, with its key; empty: none
  std::string key_pem;
  std::string token;               // bearer token; empty: none
  std::optional<ExecPlugin> exec;  // has to be run for the three above: see EndpointSource
};

// Which of the two ways in to take.
struct Access {
  std::string kubeconfig;    // a path; wins where it was asked for by name
  std::string service_host;  // $KUBERNETES_SERVICE_HOST, set in every pod
  std::string service_port;  // $KUBERNETES_SERVICE_PORT
};

// A file of credentials without the blanks around it, as client-go reads tokens. kInvalidArgument
// when there is nothing else in it: no authority would mean the system's, no token nobody.
absl::StatusOr<std::string> ReadFilled(const HostFs& own, const std::string& path);

// From the environment of this process: `kubeconfig` if not empty, else the pod's service account,
// else $KUBECONFIG. kInvalidArgument when there is none of them.
absl::StatusOr<Access> FindAccess(const std::string& kubeconfig);

// `own` is the file system of this process, not that of the host: a container brings its service
// account along. What an exec plugin has to give is missing still: EndpointSource does all. Errors
// name the file: kNotFound, kPermissionDenied, and kInvalidArgument for what cannot be used.
absl::StatusOr<Endpoint> LoadEndpoint(const HostFs& own, const Access& access);

// The service account that Kubernetes mounts into each pod.
// Source: Kubernetes documentation, "Accessing the API from a Pod".
absl::StatusOr<Endpoint> LoadServiceAccount(const HostFs& own, const std::string& host,
                                            const std::string& port);

// The namespace that this process is in: that of the pod, or of the kubeconfig's context, which is
// "default" where it says nothing. Errors as above.
absl::StatusOr<std::string> OwnNamespace(const HostFs& own, const Access& access);

// The current context of a kubeconfig file: CA, client certificate, token or token file, as paths
// (relative ones start at the file's directory) or as data, or the exec plugin that gives them.
// Refused with a text that says what to use instead: no verification of the server, passwords,
// auth-provider plugins, exec plugins that must talk with a person, plain http. Source: Kubernetes
// API reference, kubeconfig (v1).
absl::StatusOr<Endpoint> LoadKubeconfig(const HostFs& own, const std::string& path);
absl::StatusOr<std::string> KubeconfigNamespace(const HostFs& own, const std::string& path);

}  // namespace gpuhost::kube
