// SPDX-License-Identifier: Apache-2.0
#include "test/registry/scripted_registry.h"

#include <httplib.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "daemons/kata-manager/digest.h"
#include "test/apiserver/certificate.h"

namespace gpuhost::registry {
namespace {

constexpr const char* kRepository = "/v2/kata/gpu/";
constexpr const char* kBasic = "Basic dTpw";  // u:p

void SendWhole(httplib::Response& response, const std::string& bytes, uint64_t cut) {
  response.set_content_provider(
      bytes.size(), "application/octet-stream",
      [bytes, cut](size_t offset, size_t length, httplib::DataSink& sink) {
        if (offset >= cut) return false;
        const size_t end = std::min<size_t>({offset + length, offset + (1 << 14), cut});
        return sink.write(bytes.data() + offset, end - offset);
      });
}

}  // namespace

struct ScriptedRegistry::Impl {
  Impl() : http(certificate.x509.get(), certificate.key.get()) {
    const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
      Handle(request, response);
    };
    http.Get(".*", handle);
    http.Post(".*", handle);
    http.set_tcp_nodelay(true);
    port = http.bind_to_any_port("127.0.0.1");
    listener = std::thread([this] { http.listen_after_bind(); });
    while (!http.is_running()) std::this_thread::yield();
  }
  ~Impl() {
    http.stop();
    listener.join();
  }

  void Handle(const httplib::Request& request, httplib::Response& response) {
    const std::lock_guard lock(mutex);
    requests.push_back({request.path, request.get_header_value("Authorization"),
                        request.get_header_value("Range")});
    if (request.path == "/token") return GiveToken(request, response);
    const auto fault = TakeFault(request.path);
    if (fault && fault->kind == Fault::Kind::kStatus) {
      response.status = fault->status;
      if (fault->retry_after > 0) {
        response.set_header("Retry-After", std::to_string(fault->retry_after));
      }
      return;
    }
    if (!Allows(request, response)) return;
    const auto found = content.find(request.path);
    if (found == content.end()) {
      response.status = 404;
      return;
    }
    Answer(request, response, found->second, fault);
  }

  static void Answer(const httplib::Request& request, httplib::Response& response,
                     const std::string& bytes, const std::optional<Fault>& fault) {
    if (!fault) return response.set_content(bytes, "application/octet-stream");
    switch (fault->kind) {
      case Fault::Kind::kCut:
        return SendWhole(response, bytes, fault->bytes);
      case Fault::Kind::kOtherBytes:
        return response.set_content(std::string(bytes.size(), '?'), "application/octet-stream");
      case Fault::Kind::kMoreBytes:
        return response.set_content(bytes + "more", "application/octet-stream");
      case Fault::Kind::kWholeRange:
        const_cast<httplib::Request&>(request).ranges.clear();
        return response.set_content(bytes, "application/octet-stream");
      case Fault::Kind::kElsewhere:
        response.status = 307;
        return response.set_header("Location", fault->text);
      case Fault::Kind::kStatus:
        break;
    }
  }

  // False: the answer is there already.
  bool Allows(const httplib::Request& request, httplib::Response& response) {
    const std::string proof = request.get_header_value("Authorization");
    const bool good = auth == Auth::kNone || (auth == Auth::kBasic && proof == kBasic) ||
                      (auth == Auth::kBearer && proof == "Bearer token-" + std::to_string(tokens));
    if (good) return true;
    response.status = 401;
    response.set_header(
        "WWW-Authenticate",
        auth == Auth::kBasic
            ? std::string("Basic realm=\"r\"")
            : "Bearer realm=\"https://127.0.0.1:" + std::to_string(port) +
                  "/token\",service=\"s, \\\"1\\\"\",scope=\"repository:kata/gpu:pull\"");
    return false;
  }

  void GiveToken(const httplib::Request& request, httplib::Response& response) {
    const bool by_password = request.get_header_value("Authorization") == kBasic;
    const bool by_identity = request.get_param_value("grant_type") == "refresh_token" &&
                             request.get_param_value("refresh_token") == "i";
    const bool right = request.get_param_value("service") == "s, \"1\"" &&
                       request.get_param_value("scope") == "repository:kata/gpu:pull";
    if (!right || (!by_password && !by_identity)) {
      response.status = right ? 401 : 400;
      return;
    }
    const std::string token = "token-" + std::to_string(tokens);
    response.set_content(nlohmann::json{{by_identity ? "access_token" : "token", token}}.dump(),
                         "application/json");
  }

  std::optional<Fault> TakeFault(const std::string& path) {
    for (auto& [what, queue] : faults) {
      if (queue.empty() || path.find(what) == std::string::npos) continue;
      const Fault fault = queue.front();
      queue.erase(queue.begin());
      return fault;
    }
    return std::nullopt;
  }

  apiserver::Certificate certificate;
  httplib::SSLServer http;
  std::mutex mutex;
  std::map<std::string, std::string> content;  // by path
  std::map<std::string, std::vector<Fault>> faults;
  std::vector<Request> requests;
  Auth auth = Auth::kNone;
  int tokens = 1;
  int port = 0;
  std::thread listener;
};

ScriptedRegistry::ScriptedRegistry() : impl_(std::make_unique<Impl>()) {}
ScriptedRegistry::~ScriptedRegistry() = default;

std::string ScriptedRegistry::host() const { return "127.0.0.1:" + std::to_string(impl_->port); }
const std::string& ScriptedRegistry::ca_pem() const { return impl_->certificate.pem; }

std::string ScriptedRegistry::AddBlob(const std::string& bytes) {
  const std::lock_guard lock(impl_->mutex);
  const std::string digest = "sha256:" + kata_manager::Sha256Of(bytes);
  impl_->content[kRepository + ("blobs/" + digest)] = bytes;
  return digest;
}

std::string ScriptedRegistry::AddManifest(const std::string& bytes, const std::string& tag) {
  const std::lock_guard lock(impl_->mutex);
  const std::string digest = "sha256:" + kata_manager::Sha256Of(bytes);
  for (const std::string& name : {digest, tag}) {
    impl_->content[kRepository + ("manifests/" + name)] = bytes;
  }
  return digest;
}

std::string ScriptedRegistry::AddArtifact(const std::vector<File>& files, const std::string& tag) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const File& file : files) {
    nlohmann::ordered_json annotations{{"org.opencontainers.image.title", file.title}};
    if (file.unpack) annotations["io.deis.oras.content.unpack"] = "true";
    layers.push_back({{"mediaType", "application/octet-stream"},
                      {"digest", AddBlob(file.bytes)},
                      {"size", file.bytes.size()},
                      {"annotations", annotations}});
  }
  const nlohmann::ordered_json manifest{{"schemaVersion", 2},
                                        {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                                        {"layers", layers}};
  return AddManifest(manifest.dump(), tag);
}

void ScriptedRegistry::Demand(Auth auth) {
  const std::lock_guard lock(impl_->mutex);
  impl_->auth = auth;
}

void ScriptedRegistry::Revoke() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->tokens;
}

void ScriptedRegistry::Suffer(const std::string& what, const std::vector<Fault>& faults) {
  const std::lock_guard lock(impl_->mutex);
  impl_->faults[what] = faults;
}

std::vector<ScriptedRegistry::Request> ScriptedRegistry::Requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->requests;
}

int ScriptedRegistry::CountOf(const std::string& what) const {
  const auto requests = Requests();
  return static_cast<int>(std::ranges::count_if(requests, [&](const Request& request) {
    return request.path.find(what) != std::string::npos;
  }));
}

}  // namespace gpuhost::registry
