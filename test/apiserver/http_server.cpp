// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/http_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <thread>

#include "libgpuhost/base/parse.h"
#include "test/apiserver/certificate.h"

namespace gpuhost::apiserver {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kBookmarkBeforeEnd{2};

void Send(const Answer& answer, httplib::Response& response) {
  response.status = answer.code;
  if (answer.retry_after > 0)
    response.set_header("Retry-After", std::to_string(answer.retry_after));
  response.set_content(answer.body.dump(), "application/json");
}

// An answer that ends in its middle, with the connection.
void Cut(httplib::Response& response) {
  response.set_content_provider(1000, "application/json",
                                [](size_t, size_t, httplib::DataSink& sink) {
                                  sink.write("{\"kind\":", 8);
                                  return false;
                                });
}

void Endless(httplib::Response& response) {
  response.set_chunked_content_provider("application/json", [](size_t, httplib::DataSink& sink) {
    static const std::string much(1 << 16, 'x');
    return sink.write(much.data(), much.size());
  });
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

Query ToQuery(const httplib::Request& request) {
  Query query{.method = request.method,
              .path = request.path,
              .target = request.target,
              .token = request.get_header_value("Authorization"),
              .body = request.body,
              .content_type = request.get_header_value("Content-Type"),
              .parameters = {request.params.begin(), request.params.end()}};
  Understand(query);
  return query;
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(State& its) : state(its), http(certificate.x509.get(), certificate.key.get()) {
    const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
      Handle(ToQuery(request), response);
    };
    http.Get(".*", handle);
    http.Post(".*", handle);
    http.Patch(".*", handle);
    http.Delete(".*", handle);
    http.set_tcp_nodelay(true);  // else each answer waits for the acknowledgement of its head
    port = http.bind_to_any_port("127.0.0.1");
    listener = std::thread([this] { http.listen_after_bind(); });
    while (!http.is_running()) std::this_thread::yield();
  }

  ~Impl() {
    state.store.Close();
    {
      const std::lock_guard lock(state.mutex);
      state.closing = true;
      state.moved.notify_all();
    }
    http.stop();
    listener.join();
  }

  void Handle(const Query& query, httplib::Response& response) {
    std::unique_lock lock(state.mutex);
    const std::string text = query.method + " " + query.target;
    state.requests.push_back(text);
    if (query.method == "PATCH") state.patches.push_back({query.path, query.body});
    state.Follow();
    if (state.outage != Outage::kNone) return Cut(response);
    if (const auto fault = state.faults.Take(text); fault && !Suffer(*fault, lock, response))
      return;
    if (state.outage != Outage::kNone) return Cut(response);
    if (const auto refusal = state.rights.Refusal(query)) return Send(*refusal, response);
    if (query.verb == "watch" && query.resource == "nodes") {
      lock.unlock();
      return Watch(query, response);
    }
    Send(state.Reply(query), response);
    state.Follow();
  }

  // False: the answer is there already.
  bool Suffer(const Fault& fault, std::unique_lock<std::mutex>& lock, httplib::Response& response) {
    switch (fault.kind) {
      case Fault::Kind::kAnswer: {
        Answer answer = Failure(fault.code, "", fault.text);
        answer.retry_after = fault.retry_after;
        Send(answer, response);
        return false;
      }
      case Fault::Kind::kText:
        response.status = fault.code;
        response.set_content(fault.text, "application/json");
        return false;
      case Fault::Kind::kCut:
        Cut(response);
        return false;
      case Fault::Kind::kEndless:
        Endless(response);
        return false;
      case Fault::Kind::kHang: {
        ++state.hanging;
        state.moved.notify_all();
        const int then = state.releases;
        state.moved.wait(lock, [&] { return state.closing || state.releases != then; });
        --state.hanging;
        return true;
      }
    }
    return true;
  }

  // As the real one: events from there on, a bookmark shortly before the end if the nodes have
  // moved on meanwhile, and a clean end at the client's time.
  void Watch(const Query& query, httplib::Response& response) {
    const std::string asked = query.Parameter("resourceVersion");
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
    const auto limit = ParseDecimal(query.Parameter("timeoutSeconds"), 3600).value_or(1800);
    const auto end = steady_clock::now() + seconds(limit);
    auto stream = std::make_shared<WatchStream>(
        WatchStream{.name = query.name,
                    .end = end,
                    .stage = end - kBookmarkBeforeEnd,
                    .version = *from,
                    .begin = std::max(*from, state.store.version()),
                    .bookmarks = query.Parameter("allowWatchBookmarks") == "true",
                    .cuts = Opened()});
    response.set_chunked_content_provider(
        "application/json",
        [this, stream](size_t, httplib::DataSink& sink) { return Pump(*stream, sink); },
        [this, stream](bool) { Closed(stream->cuts); });
  }

  // How often watches have been cut when this one began.
  int Opened() {
    const std::lock_guard lock(state.mutex);
    ++state.watches;
    state.watching.notify_all();
    return state.cuts;
  }
  void Closed(int cuts_then) {
    const std::lock_guard lock(state.mutex);
    if (cuts_then == state.cuts) --state.watches;
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
    const auto is_cut = [&] { return state.cuts != stream.cuts; };
    Event event;
    std::string line;
    bool more = !state.store.closed();
    const bool come = state.store.Next(stream.name, stream.version, stream.stage, is_cut, event);
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

  State& state;
  Certificate certificate;
  httplib::SSLServer http;
  int port = 0;
  std::thread listener;
};

HttpServer::HttpServer(State& state) : impl_(std::make_unique<Impl>(state)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port; }
const std::string& HttpServer::ca_pem() const { return impl_->certificate.pem; }

}  // namespace gpuhost::apiserver
