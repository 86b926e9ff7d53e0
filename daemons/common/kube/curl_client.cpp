// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/curl_client.h"

#include <curl/curl.h>

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr long kConnectSeconds = 10;
constexpr size_t kLargestBody = 16 << 20;  // etcd takes objects up to 1.5 MiB

struct Failure {
  absl::StatusCode code;
  std::string_view remedy;
};

Failure FailureOf(CURLcode code) {
  // NOLINTNEXTLINE: the other hundred are connections that failed
  switch (static_cast<int>(code)) {
    case CURLE_OPERATION_TIMEDOUT:
      return {absl::StatusCode::kDeadlineExceeded, "is the server busy or out of reach?"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return {absl::StatusCode::kFailedPrecondition,
              "check certificate authority, client certificate and the server's name"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {absl::StatusCode::kInvalidArgument,
              "the server must be written like https://10.0.0.1:6443"};
    default:
      return {absl::StatusCode::kUnavailable, "is the server running and reachable from here?"};
  }
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

void Add(List& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

List Headers(const Endpoint& endpoint, const Request& request) {
  List list;
  Add(list, "Accept: " + request.accept);
  if (!request.content_type.empty()) Add(list, "Content-Type: " + request.content_type);
  if (!endpoint.token.empty()) Add(list, "Authorization: Bearer " + endpoint.token);
  for (const std::string& header : request.headers) Add(list, header);
  return list;
}

// As errors may tell it: a query can be a signature that opens a file to anybody, and a login may
// stand before the host.
std::string Shown(std::string_view url) {
  const std::string_view path = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = path.find("://"), host = scheme == path.npos ? 0 : scheme + 3;
  const size_t login = path.substr(host, path.find('/', host) - host).rfind('@');
  if (login == path.npos) return std::string(path);
  return std::string(path.substr(0, host)) + std::string(path.substr(host + login + 1));
}

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

// libcurl looks for the name in the URL in the server's certificate. Where that is to be another
// one, the URL gets it, and the connection goes to the server nevertheless.
std::pair<std::string, List> Destination(const Endpoint& endpoint, const Request& request) {
  const std::string url = endpoint.server + request.path;
  if (endpoint.server_name.empty()) return {url, nullptr};
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0);
  List connect_to;
  Add(connect_to, fmt::format("::{}:{}", Part(parsed.get(), CURLUPART_HOST),
                              Part(parsed.get(), CURLUPART_PORT)));
  curl_url_set(parsed.get(), CURLUPART_HOST, endpoint.server_name.c_str(), 0);
  return {Part(parsed.get(), CURLUPART_URL), std::move(connect_to)};
}

}  // namespace

// Where the body goes: to the sink when the answer is a success, else into the response.
struct CurlClient::Receiver {
  CURL* easy;
  const Request& request;
  const BodySink& sink;
  Response response;
  absl::Status status;
  TimePoint heard;  // when anything came last
  bool begun = false;

  static size_t Receive(char* bytes, size_t, size_t count, void* target);
  static size_t ReceiveHeader(char* bytes, size_t, size_t count, void* target);
  // Once, before the first byte.
  void Begin(int code);
};

void CurlClient::Receiver::Begin(int code) {
  begun = true;
  response.code = code;
  if (request.on_head) status = request.on_head(response);
}

size_t CurlClient::Receiver::ReceiveHeader(char* bytes, size_t, size_t count, void* target) {
  auto& headers = static_cast<Receiver*>(target)->response.headers;
  std::string_view line(bytes, count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  if (line.starts_with("HTTP/")) headers.clear();  // what was before is of a proxy
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  line.remove_prefix(colon + 1);
  while (line.starts_with(' ')) line.remove_prefix(1);
  std::string& value = headers[name];
  value += (value.empty() ? "" : "\n") + std::string(line);
  return count;
}

size_t CurlClient::Receiver::Receive(char* bytes, size_t, size_t count, void* target) {
  auto& receiver = *static_cast<Receiver*>(target);
  const bool blank =
      std::string_view(bytes, count).find_first_not_of(" \t\r\n") == std::string::npos;
  if (!blank) receiver.heard = SystemClock().Now();  // a proxy may keep a dead connection warm
  long code = 0;
  curl_easy_getinfo(receiver.easy, CURLINFO_RESPONSE_CODE, &code);
  if (receiver.sink && code >= 200 && code < 300) {
    if (!receiver.begun) receiver.Begin(static_cast<int>(code));
    if (receiver.status.ok()) receiver.status = receiver.sink(std::string_view(bytes, count));
  } else if (receiver.response.body.size() + count > kLargestBody) {
    receiver.status =
        absl::ResourceExhaustedError("the answer is larger than 16 MiB; is this the right server?");
  } else {
    receiver.response.body.append(bytes, count);
  }
  return receiver.status.ok() ? count : 0;
}

struct CurlClient::Handles {
  Handles() {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    easy = curl_easy_init();
    multi = curl_multi_init();
  }
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }

  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(easy, option, value);
  }
  void SetText(CURLoption option, const std::string& text) {
    if (!text.empty()) Set(option, text.c_str());
  }
  // PEM from memory: what was read together is used together.
  void SetPem(CURLoption option, const std::string& pem) {
    if (pem.empty()) return;
    curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_COPY};
    Set(option, &blob);
  }

  // The authorities that are given, and not the system's: a build of libcurl may have a directory
  // of those set, Debian's has, and would trust it besides (seen with 7.88.1).
  void TrustAlone(const std::string& pem) {
    SetPem(CURLOPT_CAINFO_BLOB, pem);
    Set(CURLOPT_CAINFO, static_cast<char*>(nullptr));
    Set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }

  CURL* easy;
  CURLM* multi;
};

CurlClient::CurlClient(int stop_fd) : handles_(std::make_unique<Handles>()), stop_fd_(stop_fd) {}
CurlClient::~CurlClient() = default;

// libcurl's own loop looks around once a second; this one sleeps until there is something to do.
absl::Status CurlClient::Perform(const Receiver& receiver, Duration idle) {
  constexpr std::chrono::milliseconds kLongSleep{60'000};  // timers of libcurl end it earlier
  curl_waitfd stop{.fd = stop_fd_, .events = CURL_WAIT_POLLIN, .revents = 0};
  const unsigned int extra = stop_fd_ < 0 ? 0 : 1;
  int running = 1;
  while (true) {
    if (const CURLMcode code = curl_multi_perform(handles_->multi, &running); code != CURLM_OK) {
      return absl::InternalError(curl_multi_strerror(code));
    }
    if (running == 0) return absl::OkStatus();
    auto sleep = kLongSleep;
    if (idle > Duration::zero()) {
      const Duration left = receiver.heard + idle - SystemClock().Now();
      if (left <= Duration::zero()) {
        return Error(absl::StatusCode::kUnavailable,
                     "the server has said nothing for {:.0f} s; is the connection dead?",
                     Seconds(idle));
      }
      sleep = std::min(sleep, std::chrono::ceil<std::chrono::milliseconds>(left));
    }
    curl_multi_poll(handles_->multi, &stop, extra, static_cast<int>(sleep.count()), nullptr);
    if (stop.revents != 0) return absl::CancelledError("about to end");
  }
}

absl::StatusOr<Response> CurlClient::Stream(const Endpoint& endpoint, const Request& request,
                                            const BodySink& sink) {
  const auto [url, connect_to] = Destination(endpoint, request);
  const std::string what = fmt::format("{} {}", request.method, Shown(url));
  const List headers = Headers(endpoint, request);
  char reason[CURL_ERROR_SIZE] = "";
  Receiver receiver{handles_->easy, request, sink, {}, absl::OkStatus(), SystemClock().Now()};

  curl_easy_reset(handles_->easy);  // connections stay
  handles_->SetText(CURLOPT_URL, url);
  handles_->Set(CURLOPT_CONNECT_TO, connect_to.get());
  handles_->Set(CURLOPT_PROTOCOLS_STR, request.plain_http ? "http,https" : "https");
  handles_->Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  handles_->Set(CURLOPT_NOSIGNAL, 1L);
  // A peer that is gone without a word is noticed after two minutes, unless something on the way
  // answers in its stead: for that there is request.idle.
  handles_->Set(CURLOPT_TCP_KEEPALIVE, 1L);
  handles_->Set(CURLOPT_TCP_KEEPIDLE, 30L);
  handles_->Set(CURLOPT_TCP_KEEPINTVL, 10L);
  handles_->Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  handles_->Set(
      CURLOPT_TIMEOUT_MS,
      static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(request.limit).count()));
  handles_->Set(CURLOPT_ERRORBUFFER, reason);
  handles_->Set(CURLOPT_USERAGENT, "gpuhost");
  handles_->SetText(CURLOPT_PROXY, endpoint.proxy);
  if (!endpoint.ca_pem.empty()) handles_->TrustAlone(endpoint.ca_pem);
  handles_->SetPem(CURLOPT_SSLCERT_BLOB, endpoint.certificate_pem);
  handles_->SetPem(CURLOPT_SSLKEY_BLOB, endpoint.key_pem);
  handles_->Set(CURLOPT_HTTPHEADER, headers.get());
  handles_->Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty()) {
    handles_->Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    handles_->Set(CURLOPT_POSTFIELDS, request.body.data());
  }
  handles_->Set(CURLOPT_WRITEFUNCTION, &Receiver::Receive);
  handles_->Set(CURLOPT_WRITEDATA, &receiver);
  handles_->Set(CURLOPT_HEADERFUNCTION, &Receiver::ReceiveHeader);
  handles_->Set(CURLOPT_HEADERDATA, &receiver);

  curl_multi_add_handle(handles_->multi, handles_->easy);
  const absl::Status performed = Perform(receiver, request.idle);
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(handles_->multi, &left);
  const CURLcode code = message == nullptr ? CURLE_OK : message->data.result;
  curl_multi_remove_handle(handles_->multi, handles_->easy);
  GPUHOST_TRY(Annotate(performed, what));
  GPUHOST_TRY(Annotate(receiver.status, what));
  if (code != CURLE_OK) {
    const Failure failure = FailureOf(code);
    return Error(failure.code, "{}: {}; {}", what,
                 reason[0] != '\0' ? reason : curl_easy_strerror(code), failure.remedy);
  }
  long http_code = 0;
  curl_easy_getinfo(handles_->easy, CURLINFO_RESPONSE_CODE, &http_code);
  receiver.response.code = static_cast<int>(http_code);
  curl_off_t seconds = 0;
  curl_easy_getinfo(handles_->easy, CURLINFO_RETRY_AFTER, &seconds);
  // A number of any size may come.
  constexpr curl_off_t kLongest = 7 * 24 * 3600;
  if (seconds > 0) {
    receiver.response.retry_after = std::chrono::seconds(std::min(seconds, kLongest));
  }
  return std::move(receiver.response);
}

}  // namespace gpuhost::kube
