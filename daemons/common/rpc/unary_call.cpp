// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/unary_call.h"

#include <curl/curl.h>

#include <algorithm>
#include <map>
#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::rpc {
namespace {

constexpr size_t kMaxAnswer = 1u << 20;
constexpr size_t kPrefix = 5;  // of a message: not compressed, four bytes of length
constexpr const char* kStatus = "grpc-status";

// gRPC's server answers a method that it does not know as soon as it has read the headers, and
// resets the stream behind its trailers, for the request's body was still to come. Where both
// arrive at once, libcurl (7.88) reports the reset and drops the headers that it had read, so the
// answer is lost. A question may be put again; under load, when this is frequent, one call in eight
// is lost.
constexpr int kTries = 8;

struct Received {
  CURLcode done = CURLE_OK;
  std::string body;
  std::map<std::string, std::string> trailers;
};

size_t OnBody(char* bytes, size_t size, size_t count, void* context) {
  std::string& body = static_cast<Received*>(context)->body;
  if (body.size() + size * count > kMaxAnswer) return 0;  // ends the transfer
  body.append(bytes, size * count);
  return size * count;
}

// Headers and trailers alike.
size_t OnHeader(char* bytes, size_t size, size_t count, void* context) {
  const std::string line(bytes, size * count);
  const size_t colon = line.find(':'), end = line.find_last_not_of("\r\n ");
  if (colon != std::string::npos && end != std::string::npos && end > colon) {
    static_cast<Received*>(context)->trailers[line.substr(0, colon)] =
        line.substr(std::min(colon + 2, end), end - std::min(colon + 2, end) + 1);
  }
  return size * count;
}

std::string Framed(std::string_view message) {
  std::string body(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    body += static_cast<char>(message.size() >> shift & 0xff);
  }
  return body += message;
}

using Curl = std::unique_ptr<CURL, void (*)(CURL*)>;
using Headers = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

Headers GrpcHeaders() {
  curl_slist* list = nullptr;
  for (const char* header : {"content-type: application/grpc", "te: trailers", "expect:"}) {
    list = ::curl_slist_append(list, header);
  }
  return {list, &::curl_slist_free_all};
}

Received Call(CURL* curl, Duration limit) {
  Received received;
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
  ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &received);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(rest, 1)));
  received.done = ::curl_easy_perform(curl);
  return received;
}

}  // namespace

absl::StatusOr<UnaryAnswer> CallUnary(const std::string& socket, const std::string& method,
                                      std::string_view message, Duration limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  const std::string body = Framed(message);
  const Curl curl(::curl_easy_init(), &::curl_easy_cleanup);
  if (!curl) return absl::ResourceExhaustedError("no memory for a request");
  const Headers headers = GrpcHeaders();
  const auto set = [&](CURLoption option, auto value) {
    ::curl_easy_setopt(curl.get(), option, value);
  };
  set(CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
  set(CURLOPT_URL, ("http://localhost/" + method).c_str());
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE});
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  set(CURLOPT_POSTFIELDS, body.data());
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NOPROXY, "*");
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  Received received = Call(curl.get(), limit);
  for (int tries = 1; tries < kTries && received.done == CURLE_HTTP2_STREAM; ++tries) {
    const auto now = std::chrono::steady_clock::now();
    if (received.trailers.contains(kStatus) || now >= end) break;
    received = Call(curl.get(), end - now);
  }
  // A server may close the stream with an error right after its trailers.
  if (!received.trailers.contains(kStatus)) {
    const std::string why = received.done == CURLE_OK ? "the answer is not gRPC's"
                                                      : ::curl_easy_strerror(received.done);
    return Error(absl::StatusCode::kUnavailable, "call {} at {}: {}", method, socket, why);
  }
  UnaryAnswer answer{.status = received.trailers[kStatus],
                     .message = received.trailers["grpc-message"]};
  if (received.body.size() > kPrefix) answer.bytes = received.body.substr(kPrefix);
  return answer;
}

}  // namespace gpuhost::rpc
