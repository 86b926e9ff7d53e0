// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/curl_client.h"

#include <curl/curl.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr long kConnectSeconds = 10;
constexpr size_t kLargestBody = 16 << 20;  // etcd takes objects up to 1.5 MiB

absl::StatusCode CodeOf(CURLcode code) {
  // NOLINTNEXTLINE: the other hundred are connections that failed
  switch (static_cast<int>(code)) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::StatusCode::kFailedPrecondition;
    case CURLE_WRITE_ERROR:
      return absl::StatusCode::kResourceExhausted;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

std::string_view Remedy(absl::StatusCode code) {
  switch (static_cast<int>(code)) {
    case static_cast<int>(absl::StatusCode::kFailedPrecondition):
      return "check certificate authority, client certificate and the server's name";
    case static_cast<int>(absl::StatusCode::kResourceExhausted):
      return "an answer may have 16 MiB; is this an API server?";
    case static_cast<int>(absl::StatusCode::kInvalidArgument):
      return "the server must be written like https://10.0.0.1:6443";
    default:
      return "is the API server running and reachable from here?";
  }
}

size_t Collect(char* bytes, size_t, size_t count, void* target) {
  auto& body = *static_cast<std::string*>(target);
  if (body.size() + count > kLargestBody) return 0;
  body.append(bytes, count);
  return count;
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
  Add(list, "Accept: application/json");
  if (!request.content_type.empty()) Add(list, "Content-Type: " + request.content_type);
  if (!endpoint.token.empty()) Add(list, "Authorization: Bearer " + endpoint.token);
  return list;
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

struct CurlClient::Easy {
  Easy() {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    handle = curl_easy_init();
  }
  ~Easy() { curl_easy_cleanup(handle); }

  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(handle, option, value);
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

  CURL* handle;
};

CurlClient::CurlClient() : easy_(std::make_unique<Easy>()) {}
CurlClient::~CurlClient() = default;

absl::StatusOr<Response> CurlClient::Send(const Endpoint& endpoint, const Request& request) {
  const auto [url, connect_to] = Destination(endpoint, request);
  const List headers = Headers(endpoint, request);
  char reason[CURL_ERROR_SIZE] = "";
  Response response;

  curl_easy_reset(easy_->handle);  // connections stay
  easy_->SetText(CURLOPT_URL, url);
  easy_->Set(CURLOPT_CONNECT_TO, connect_to.get());
  easy_->Set(CURLOPT_PROTOCOLS_STR, "https");
  easy_->Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  easy_->Set(CURLOPT_NOSIGNAL, 1L);
  easy_->Set(CURLOPT_TCP_KEEPALIVE, 1L);
  easy_->Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  easy_->Set(
      CURLOPT_TIMEOUT_MS,
      static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(request.limit).count()));
  easy_->Set(CURLOPT_ERRORBUFFER, reason);
  easy_->Set(CURLOPT_USERAGENT, "gpuhost");
  easy_->SetText(CURLOPT_PROXY, endpoint.proxy);
  easy_->SetPem(CURLOPT_CAINFO_BLOB, endpoint.ca_pem);
  easy_->SetPem(CURLOPT_SSLCERT_BLOB, endpoint.certificate_pem);
  easy_->SetPem(CURLOPT_SSLKEY_BLOB, endpoint.key_pem);
  easy_->Set(CURLOPT_HTTPHEADER, headers.get());
  easy_->Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty()) {
    easy_->Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    easy_->Set(CURLOPT_POSTFIELDS, request.body.data());
  }
  easy_->Set(CURLOPT_WRITEFUNCTION, &Collect);
  easy_->Set(CURLOPT_WRITEDATA, &response.body);

  if (const CURLcode code = curl_easy_perform(easy_->handle); code != CURLE_OK) {
    const absl::StatusCode status = CodeOf(code);
    return Error(status, "{} {}: {}; {}", request.method, url,
                 reason[0] != '\0' ? reason : curl_easy_strerror(code), Remedy(status));
  }
  long http_code = 0;
  curl_easy_getinfo(easy_->handle, CURLINFO_RESPONSE_CODE, &http_code);
  response.code = static_cast<int>(http_code);
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy_->handle, CURLINFO_RETRY_AFTER, &seconds);
  if (seconds > 0) response.retry_after = std::chrono::seconds(seconds);
  return response;
}

}  // namespace gpuhost::kube
