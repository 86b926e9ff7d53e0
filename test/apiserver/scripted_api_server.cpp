// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/scripted_api_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "libgpuhost/base/parse.h"
#include "test/apiserver/certificate.h"
#include "test/apiserver/store.h"

namespace gpuhost::apiserver {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kStrangerToken = "stranger";
constexpr const char* kStranger = "system:serviceaccount:default:stranger";
constexpr seconds kBookmarkBeforeEnd{2};

void Send(const Answer& answer, httplib::Response& response) {
  response.status = answer.code;
  if (answer.retry_after > 0)
    response.set_header("Retry-After", std::to_string(answer.retry_after));
  response.set_content(answer.body.dump(), "application/json");
}

std::string Line(const Event& event) {
  return Json{{"type", event.type}, {"object", event.object}}.dump() + "\n";
}

Event Bookmark(uint64_t version) {
  return {version,
          "BOOKMARK",
          {{"kind", "Node"},
           {"apiVersion", "v1"},
           {"metadata", {{"resourceVersion", std::to_string(version)}}}}};
}

// The name in "metadata.name=x".
std::string SelectedName(const httplib::Request& request) {
  const std::string selector = request.get_param_value("fieldSelector");
  return selector.substr(selector.find('=') + 1);
}

std::string VerbOf(const httplib::Request& request) {
  if (request.get_param_value("watch") == "true") return "watch";
  if (request.method == "GET") return request.path == "/api/v1/nodes" ? "list" : "get";
  return request.method == "PATCH" ? "patch" : "delete";
}

Answer Forbidden(const httplib::Request& request) {
  const std::string name = request.matches.size() > 1 ? request.matches[1].str() : "";
  return Failure(
      403, "Forbidden",
      fmt::format("nodes {}is forbidden: User \"{}\" cannot {} resource \"nodes\" in API "
                  "group \"\" at the cluster scope",
                  name.empty() ? "" : "\"" + name + "\" ", kStranger, VerbOf(request)));
}

}  // namespace

struct ScriptedApiServer::Impl {
  Impl() : http(certificate.x509.get(), certificate.key.get()) {
    const auto route = [this](auto method, const char* path, auto answer) {
      (http.*method)(path,
                     [this, answer](const httplib::Request& request, httplib::Response& response) {
                       if (!Intercept(request, response)) answer(request, response);
                     });
    };
    using Register =
        httplib::Server& (httplib::Server::*)(const std::string&, httplib::Server::Handler);
    constexpr const char* kNode = "/api/v1/nodes/([^/]+)";
    route(static_cast<Register>(&httplib::Server::Get), kNode,
          [this](const auto& request, auto& response) {
            Send(store.Get(request.matches[1]), response);
          });
    route(static_cast<Register>(&httplib::Server::Patch), kNode,
          [this](const auto& request, auto& response) {
            Send(request.get_header_value("Content-Type") == "application/merge-patch+json"
                     ? store.Patch(request.matches[1], request.body)
                     : Failure(415, "UnsupportedMediaType", "415: Unsupported Media Type"),
                 response);
          });
    route(static_cast<Register>(&httplib::Server::Delete), kNode,
          [this](const auto& request, auto& response) {
            Send(store.Delete(request.matches[1]), response);
          });
    route(static_cast<Register>(&httplib::Server::Get), "/api/v1/nodes",
          [this](const auto& request, auto& response) {
            if (request.get_param_value("watch") == "true") {
              Watch(request, response);
            } else {
              Send(
                  store.List(SelectedName(request), request.get_param_value("resourceVersionMatch"),
                             request.get_param_value("resourceVersion")),
                  response);
            }
          });
    port = http.bind_to_any_port("127.0.0.1");
    listener = std::thread([this] { http.listen_after_bind(); });
    while (!http.is_running()) std::this_thread::yield();
  }

  ~Impl() {
    store.Close();
    http.stop();
    listener.join();
  }

  // Rights and faults. True: the answer is there already.
  bool Intercept(const httplib::Request& request, httplib::Response& response) {
    const std::lock_guard lock(mutex);
    requests.push_back(request.method + " " + request.target);
    if (cut_off > 0) {
      --cut_off;
      response.set_content_provider(1000, "application/json",
                                    [](size_t, size_t, httplib::DataSink& sink) {
                                      sink.write("{\"kind\":", 8);
                                      return false;
                                    });
      return true;
    }
    if (refusals > 0) {
      --refusals;
      Answer answer = Failure(refusal_code, "", "scripted refusal");
      answer.retry_after = refusal_retry_after;
      Send(answer, response);
      return true;
    }
    const std::string token = request.get_header_value("Authorization");
    if (token == fmt::format("Bearer {}", kStrangerToken)) {
      Send(Forbidden(request), response);
      return true;
    }
    if (token == "Bearer " + Token()) return false;
    Send(Failure(401, "Unauthorized", "Unauthorized"), response);
    return true;
  }

  // As the real one: events from there on, a bookmark shortly before the end if the nodes have
  // moved on meanwhile, and a clean end at the client's time.
  void Watch(const httplib::Request& request, httplib::Response& response) {
    const std::string asked = request.get_param_value("resourceVersion");
    const auto from = ParseDecimal(asked);
    if (!from) {
      Send(
          Failure(500, "",
                  fmt::format("resourceVersion: Invalid value: \"{0}\": strconv.ParseUint: parsing "
                              "\"{0}\": invalid syntax",
                              asked)),
          response);
      return;
    }
    const auto limit = ParseDecimal(request.get_param_value("timeoutSeconds"), 3600).value_or(1800);
    const auto end = steady_clock::now() + seconds(limit);
    auto stream = std::make_shared<WatchStream>(
        WatchStream{.name = SelectedName(request),
                    .end = end,
                    .stage = end - kBookmarkBeforeEnd,
                    .version = *from,
                    .begin = std::max(*from, store.version()),
                    .bookmarks = request.get_param_value("allowWatchBookmarks") == "true",
                    .cuts = Opened()});
    response.set_chunked_content_provider(
        "application/json",
        [this, stream](size_t, httplib::DataSink& sink) { return Pump(*stream, sink); },
        [this, stream](bool) { Closed(stream->cuts); });
  }

  // How often watches have been cut when this one began.
  int Opened() {
    const std::lock_guard lock(mutex);
    ++watches;
    watching.notify_all();
    return cuts;
  }
  void Closed(int cuts_then) {
    const std::lock_guard lock(mutex);
    if (cuts_then == cuts) --watches;
  }

  struct WatchStream {
    std::string name;
    steady_clock::time_point end, stage;
    uint64_t version, begin;
    bool bookmarks;
    int cuts;
  };

  // Waits for the next line of a watch and sends it; false cuts the connection.
  bool Pump(WatchStream& stream, httplib::DataSink& sink) {
    const auto is_cut = [&] { return cuts != stream.cuts; };
    Event event;
    std::string line;
    bool more = !store.closed();
    const bool come = store.Next(stream.name, stream.version, stream.stage, is_cut, event);
    if (is_cut()) {
      sink.write("{\"type\":", 8);
      return false;
    }
    if (come) {
      line = Line(event);
      more = event.type != "ERROR";
    } else if (stream.stage < stream.end) {
      if (stream.bookmarks && stream.version > stream.begin) line = Line(Bookmark(stream.version));
      stream.stage = stream.end;
    } else {
      more = false;
    }
    if (!line.empty() && !sink.write(line.data(), line.size())) return false;
    if (!more) sink.done();
    return true;
  }

  std::string Token() const { return fmt::format("admin-{}", tokens); }

  Certificate certificate;
  Store store;
  httplib::SSLServer http;
  int port = 0;
  std::thread listener;
  mutable std::mutex mutex;
  std::condition_variable watching;
  std::vector<std::string> requests;
  int watches = 0;  // that run and have not been cut
  std::atomic<int> cuts = 0;
  int tokens = 1, cut_off = 0, refusals = 0, refusal_code = 0, refusal_retry_after = 0;
};

ScriptedApiServer::ScriptedApiServer() : impl_(std::make_unique<Impl>()) {}
ScriptedApiServer::~ScriptedApiServer() = default;

kube::Endpoint ScriptedApiServer::admin() const {
  const std::lock_guard lock(impl_->mutex);
  return {.server = fmt::format("https://127.0.0.1:{}", impl_->port),
          .ca_pem = impl_->certificate.pem,
          .token = impl_->Token()};
}

kube::Endpoint ScriptedApiServer::stranger() const {
  kube::Endpoint endpoint = admin();
  endpoint.token = kStrangerToken;
  return endpoint;
}

void ScriptedApiServer::AddNode(const std::string& name,
                                const std::map<std::string, std::string>& labels) {
  impl_->store.Add(name, labels);
}

std::map<std::string, std::string> ScriptedApiServer::LabelsOf(const std::string& name) const {
  const Answer answer = impl_->store.Get(name);
  const Json::json_pointer labels("/metadata/labels");
  if (!answer.body.contains(labels)) return {};
  return answer.body[labels].get<std::map<std::string, std::string>>();
}

void ScriptedApiServer::Forget(const std::string& resource_version) {
  impl_->store.Forget(ParseDecimal(resource_version).value_or(0));
}

void ScriptedApiServer::DeleteNode(const std::string& name) { impl_->store.Delete(name); }

void ScriptedApiServer::ForgetAll() { impl_->store.ForgetAll(); }

void ScriptedApiServer::AwaitWatch() {
  std::unique_lock lock(impl_->mutex);
  impl_->watching.wait(lock, [this] { return impl_->watches > 0; });
}

void ScriptedApiServer::CutWatches() {
  {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->cuts;
    impl_->watches = 0;
  }
  impl_->store.Wake();
}

void ScriptedApiServer::Refuse(int times, int code, int retry_after_seconds) {
  const std::lock_guard lock(impl_->mutex);
  impl_->refusals = times;
  impl_->refusal_code = code;
  impl_->refusal_retry_after = retry_after_seconds;
}

void ScriptedApiServer::CutOff(int times) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cut_off = times;
}

void ScriptedApiServer::RenewToken() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->tokens;
}

std::vector<std::string> ScriptedApiServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->requests;
}

}  // namespace gpuhost::apiserver
