// SPDX-License-Identifier: Apache-2.0
#include <absl/strings/escaping.h>
#include <yaml-cpp/yaml.h>

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
    return fs_.Read(path.starts_with('/') ? path : Directory() + path);
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
    for (const char* key : {"exec", "auth-provider", "username"}) {
      if (!Child(user, key).IsNull()) {
        return Refuse(
            "its user has '{}', which is not supported; give a client certificate, a "
            "token or a tokenFile",
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
                     fs_.ReadAttribute(file.starts_with('/') ? file : Directory() + file));
    }
    return absl::OkStatus();
  }

 private:
  std::string Directory() const { return path_.substr(0, path_.rfind('/') + 1); }

  const HostFs& fs_;
  std::string path_;
  YAML::Node root_;
};

}  // namespace

absl::StatusOr<Endpoint> LoadKubeconfig(const HostFs& own, const std::string& path) {
  if (!path.starts_with('/')) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "use kubeconfig '{}': give one file, with its whole path", path);
  }
  GPUHOST_ASSIGN(const std::string text, own.Read(path));
  try {
    const File file(own, path, YAML::Load(text));
    const std::string context_name = file.CurrentContext();
    if (context_name.empty()) return file.Refuse("it has no current-context");
    GPUHOST_ASSIGN(const YAML::Node context, file.Find("contexts", "context", context_name));
    GPUHOST_ASSIGN(const YAML::Node cluster,
                   file.Find("clusters", "cluster", File::Text(context, "cluster")));
    GPUHOST_ASSIGN(const YAML::Node user, file.Find("users", "user", File::Text(context, "user")));
    Endpoint endpoint;
    GPUHOST_TRY(file.AddCluster(cluster, endpoint));
    GPUHOST_TRY(file.AddUser(user, endpoint));
    return endpoint;
  } catch (const YAML::Exception& error) {
    return Error(absl::StatusCode::kInvalidArgument, "use kubeconfig {}: it is not YAML: {}", path,
                 error.what());
  }
}

}  // namespace gpuhost::kube
