// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/unary_call.h"

#include <curl/curl.h>

#include <map>
#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::rpc {
namespace {

constexpr size_t kMaxAnswer = 1u << 20;
constexpr size_t kPrefix = 5;  // of a message: not compressed, four bytes of length
constexpr const char* kStatus = "grpc-status";

struct Received {
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

}  // namespace

absl::StatusOr<UnaryAnswer> CallUnary(const std::string& socket, const std::string& method,
                                      std::string_view message, Duration limit) {
  const std::string body = Framed(message);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(::curl_easy_init(), &::curl_easy_cleanup);
  if (!curl) return absl::ResourceExhaustedError("no memory for a request");
  curl_slist* list = nullptr;
  for (const char* header : {"content-type: application/grpc", "te: trailers", "expect:"}) {
    list = ::curl_slist_append(list, header);
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, &::curl_slist_free_all);
  Received received;
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
  set(CURLOPT_TIMEOUT_MS,
      static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()));
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_WRITEDATA, &received);
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, &received);
  const CURLcode done = ::curl_easy_perform(curl.get());
  // A server may close the stream with an error right after its trailers.
  if (!received.trailers.contains(kStatus)) {
    return Error(absl::StatusCode::kUnavailable, "call {} at {}: {}", method, socket,
                 done == CURLE_OK ? "the answer is not gRPC's" : ::curl_easy_strerror(done));
  }
  UnaryAnswer answer{.status = received.trailers[kStatus],
                     .message = received.trailers["grpc-message"]};
  if (received.body.size() > kPrefix) answer.bytes = received.body.substr(kPrefix);
  return answer;
}

}  // namespace gpuhost::rpc
