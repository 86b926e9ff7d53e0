// SPDX-License-Identifier: Apache-2.0
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_split.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "daemons/common/kube/endpoint.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

// A kubeconfig file with its path, for messages and for the paths inside it.
class File {
 public:
  File(const HostFs& fs, std::string path, YAML::Node root)
      : fs_(fs), path_(std::move(path)), root_(std::move(root)) {}

  template <typename... Args>
  absl::Status Refuse(fmt::format_string<Args...> format, Args&&... args) const {
    return Error(absl::StatusCode::kInvalidArgument, "use kubeconfig {}: {}", path_,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  std::string CurrentContext() const { return Text(root_, "current-context"); }

  // The entry of `list` that is called `name`: its part `key`.
  absl::StatusOr<YAML::Node> Find(const char* list, const char* key,
                                  const std::string& name) const {
    const YAML::Node entries = Child(root_, list);
    if (entries.IsSequence()) {
      for (const YAML::Node& entry : entries) {
        if (Text(entry, "name") == name) return Child(entry, key);
      }
    }
    return Refuse("there is no '{}' among its {}", name, list);
  }

  static YAML::Node Child(const YAML::Node& node, const char* key) {
    return node.IsMap() && node[key] ? node[key] : YAML::Node();
  }
  static std::string Text(const YAML::Node& node, const char* key) {
    const YAML::Node value = Child(node, key);
    return value.IsScalar() ? value.Scalar() : "";
  }

  // "KEY-data" in base64, else the content of the file that `key` names, else nothing.
  absl::StatusOr<std::string> Material(const YAML::Node& node, const char* key) const {
    const std::string data = Text(node, fmt::format("{}-data", key).c_str());
    if (!data.empty()) {
      std::string bytes;
      if (!absl::Base64Unescape(data, &bytes)) return Refuse("{}-data is not base64", key);
      return bytes;
    }
    const std::string path = Text(node, key);
    if (path.empty()) return std::string();
    return ReadFilled(fs_, path.starts_with('/') ? path : Directory() + path);
  }

  absl::Status AddCluster(const YAML::Node& cluster, Endpoint& endpoint) const {
    endpoint.server = Text(cluster, "server");
    while (endpoint.server.ends_with('/')) endpoint.server.pop_back();
    if (!endpoint.server.starts_with("https://")) {
      return Refuse("server '{}' is not https; a token must not cross the network in the clear",
                    endpoint.server);
    }
    if (Text(cluster, "insecure-skip-tls-verify") == "true") {
      return Refuse("it skips the check of the server; give certificate-authority instead");
    }
    GPUHOST_ASSIGN(endpoint.ca_pem, Material(cluster, "certificate-authority"));
    endpoint.server_name = Text(cluster, "tls-server-name");
    endpoint.proxy = Text(cluster, "proxy-url");
    return absl::OkStatus();
  }

  absl::Status AddUser(const YAML::Node& user, Endpoint& endpoint) const {
    // Whoever impersonates has fewer rights than it has itself: ignoring that would raise them.
    for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
      if (!Child(user, key).IsNull()) {
        return Refuse(
            "its user has '{}', and impersonation is not supported; give its own identity", key);
      }
    }
    for (const char* key : {"auth-provider", "username"}) {
      if (!Child(user, key).IsNull()) {
        return Refuse(
            "its user has '{}', which is not supported; give a client certificate, a "
            "token, a tokenFile or an exec plugin",
            key);
      }
    }
    GPUHOST_ASSIGN(endpoint.certificate_pem, Material(user, "client-certificate"));
    GPUHOST_ASSIGN(endpoint.key_pem, Material(user, "client-key"));
    if (endpoint.certificate_pem.empty() != endpoint.key_pem.empty()) {
      return Refuse("client-certificate and client-key go together, one of them is missing");
    }
    endpoint.token = Text(user, "token");
    if (const std::string file = Text(user, "tokenFile"); !file.empty()) {
      GPUHOST_ASSIGN(endpoint.token,
                     ReadFilled(fs_, file.starts_with('/') ? file : Directory() + file));
    }
    const YAML::Node exec = Child(user, "exec");
    return exec.IsNull() ? absl::OkStatus() : AddExec(exec, endpoint);
  }

  absl::Status AddExec(const YAML::Node& exec, Endpoint& endpoint) const {
    ExecPlugin plugin{.api_version = Text(exec, "apiVersion"),
                      .command = Text(exec, "command"),
                      .wants_cluster = Text(exec, "provideClusterInfo") == "true"};
    if (plugin.api_version != "client.authentication.k8s.io/v1" &&
        plugin.api_version != "client.authentication.k8s.io/v1beta1") {
      return Refuse("exec has apiVersion '{}', and client.authentication.k8s.io/v1 is needed",
                    plugin.api_version);
    }
    if (Text(exec, "interactiveMode") == "Always") {
      return Refuse("exec must talk with a person (interactiveMode Always), and there is none");
    }
    if (plugin.command.empty()) return Refuse("exec has no command");
    if (!plugin.command.starts_with('/')) {
      GPUHOST_ASSIGN(plugin.command, WholePath(plugin.command));
    }
    GPUHOST_TRY(AddWords(exec, plugin));
    endpoint.exec = std::move(plugin);
    return absl::OkStatus();
  }

  // Arguments and variables.
  absl::Status AddWords(const YAML::Node& exec, ExecPlugin& plugin) const {
    const YAML::Node arguments = Child(exec, "args"), variables = Child(exec, "env");
    if (!arguments.IsNull() && !arguments.IsSequence()) return Refuse("exec.args is no list");
    for (const YAML::Node& argument : arguments) {
      if (!argument.IsScalar()) return Refuse("exec.args has something that is no text");
      plugin.arguments.push_back(argument.Scalar());
    }
    if (!variables.IsNull() && !variables.IsSequence()) return Refuse("exec.env is no list");
    for (const YAML::Node& variable : variables) {
      const std::string name = Text(variable, "name");
      if (name.empty() || name.find('=') != std::string::npos) {
        return Refuse("exec.env has an entry whose name is '{}'", name);
      }
      plugin.environment.push_back(name + "=" + Text(variable, "value"));
    }
    return absl::OkStatus();
  }

  // Of a program that is named relative to this file, or just by its name.
  absl::StatusOr<std::string> WholePath(const std::string& command) const {
    if (command.find('/') != std::string::npos) return Directory() + command;
    const char* path = std::getenv("PATH");
    for (const absl::string_view directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
      if (!absl::StartsWith(directory, "/")) continue;
      const std::string candidate = std::string(directory) + "/" + command;
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return Refuse("exec.command '{}' is nowhere on $PATH; give it with its whole path", command);
  }

 private:
  std::string Directory() const { return path_.substr(0, path_.rfind('/') + 1); }

  const HostFs& fs_;
  std::string path_;
  YAML::Node root_;
};

// The file with its current context.
struct Opened {
  File file;
  YAML::Node context;
};

absl::StatusOr<Opened> Open(const HostFs& own, const std::string& path) {
  if (!path.starts_with('/')) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "use kubeconfig '{}': give one file, with its whole path", path);
  }
  GPUHOST_ASSIGN(const std::string text, own.Read(path));
  File file(own, path, YAML::Load(text));
  const std::string name = file.CurrentContext();
  if (name.empty()) return file.Refuse("it has no current-context");
  GPUHOST_ASSIGN(const YAML::Node context, file.Find("contexts", "context", name));
  return Opened{std::move(file), context};
}

absl::StatusOr<Endpoint> ToEndpoint(const Opened& opened) {
  const auto& [file, context] = opened;
  GPUHOST_ASSIGN(const YAML::Node cluster,
                 file.Find("clusters", "cluster", File::Text(context, "cluster")));
  GPUHOST_ASSIGN(const YAML::Node user, file.Find("users", "user", File::Text(context, "user")));
  Endpoint endpoint;
  GPUHOST_TRY(file.AddCluster(cluster, endpoint));
  GPUHOST_TRY(file.AddUser(user, endpoint));
  return endpoint;
}

absl::Status NotYaml(const std::string& path, const YAML::Exception& error) {
  return Error(absl::StatusCode::kInvalidArgument, "use kubeconfig {}: it is not YAML: {}", path,
               error.what());
}

}  // namespace

absl::StatusOr<Endpoint> LoadKubeconfig(const HostFs& own, const std::string& path) {
  try {
    GPUHOST_ASSIGN(const Opened opened, Open(own, path));
    return ToEndpoint(opened);
  } catch (const YAML::Exception& error) {
    return NotYaml(path, error);
  }
}

absl::StatusOr<std::string> KubeconfigNamespace(const HostFs& own, const std::string& path) {
  try {
    GPUHOST_ASSIGN(const Opened opened, Open(own, path));
    const std::string name = File::Text(opened.context, "namespace");
    return name.empty() ? "default" : name;
  } catch (const YAML::Exception& error) {
    return NotYaml(path, error);
  }
}

}  // namespace gpuhost::kube
