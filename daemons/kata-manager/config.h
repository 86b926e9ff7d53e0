// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Where a class gets its guest kernel and image from.
struct ArtifactSource {
  std::string url;                        // registry/repository@sha256:..., or :tag
  std::vector<std::string> pull_secrets;  // names of Kubernetes secrets
  std::vector<std::string> secret_files;  // the same as files: Docker's config.json
  bool allow_tag = false;                 // take what a tag points to today

  bool operator==(const ArtifactSource&) const = default;
};

struct RuntimeClass {
  std::string name;  // also that of containerd's handler
  std::map<std::string, std::string> node_selector;
  std::map<std::string, std::string> overhead;  // "memory": "10240Mi"
  ArtifactSource artifacts;                     // url empty: none
  std::string config_path;   // an installed Kata configuration to build on; empty: artifacts
  std::string runtime_path;  // of the shim; empty: where Kata installs it
  std::string snapshotter;
  std::vector<std::string> pod_annotations = {"io.katacontainers.*"};
  std::vector<std::string> container_annotations;
  bool privileged_without_host_devices = true;
  // Further keys of the handler in containerd's table, and changes to Kata's configuration by
  // table: values as TOML writes them.
  std::map<std::string, std::string> handler;
  std::map<std::string, std::map<std::string, std::string>> kata;

  bool operator==(const RuntimeClass&) const = default;
};

// How containerd is told of handlers.
enum class Placement {
  kAuto,  // in the main file of containerd 1.x, in a file of its own from 2.0 on
  kOff,   // not at all: somebody else does
};

enum class Restart {
  kAuto,   // where that ends no pod; not of k3s and rke2, which are the kubelet, too
  kNever,  // report that it is due
};

enum class CdiMode {
  kAuto,    // write the files unless somebody else does
  kVerify,  // look at them only
  kOff,
};

struct Config {
  std::string artifacts_dir;  // empty: the default
  std::vector<RuntimeClass> classes;
  Placement placement = Placement::kAuto;
  std::string flavor = "auto";  // of containerd: auto, plain, k3s, rke2, k0s, microk8s
  Restart restart = Restart::kAuto;
  int64_t restart_jitter = 0;  // seconds over which nodes spread their restarts after a change
  CdiMode cdi = CdiMode::kAuto;
  std::string registry_ca;              // path of PEM certificates; empty: those of the system
  std::vector<std::string> plain_http;  // registries without TLS, host[:port]
  // Servers of tokens that may be given logins besides the registries themselves, host[:port].
  std::vector<std::string> token_hosts;
  int64_t largest_artifact = int64_t{64} << 30;  // bytes, as it comes and again unpacked

  bool operator==(const Config&) const = default;
};

// Of its classes, in their order.
std::vector<std::string> NamesOf(const Config& config);

// The schema of NVIDIA's kata-manager and what is new here; docs/kata.md lists the keys. An empty
// text is a configuration without classes. kInvalidArgument with path, line and column for what is
// unknown, twice there, missing or not of its type.
absl::StatusOr<Config> ParseConfig(const std::string& path, const std::string& text);

// The text at a key of a YAML document that is somebody else's; empty: there is none, or it is no
// YAML.
std::string TextAt(const std::string& yaml, const std::string& key);

// Where silence counts as a configuration without classes.
struct Silence {
  bool missing = false;  // there is no file
  bool empty = false;    // a file that says nothing: empty, blank, or comments alone
};

// Silence that does not count is kFailedPrecondition, for taking every handler away has to be said:
// editors delete a file and write it anew, and mounts come late. A directory in its place,
// and a file that cannot be read, are errors as HostFs has them.
absl::StatusOr<Config> ReadConfig(const HostFs& fs, const std::string& path, Silence silence);

}  // namespace gpuhost::kata_manager
