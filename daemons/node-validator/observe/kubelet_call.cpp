// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kubelet_call.h"

#include <curl/curl.h>

#include <map>
#include <memory>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr size_t kMaxAnswer = 1u << 20;

struct Answer {
  std::string body;
  std::map<std::string, std::string> trailers;
};

size_t OnBody(char* bytes, size_t size, size_t count, void* context) {
  std::string& body = static_cast<Answer*>(context)->body;
  if (body.size() + size * count > kMaxAnswer) return 0;  // ends the transfer
  body.append(bytes, size * count);
  return size * count;
}

// Headers and trailers alike.
size_t OnHeader(char* bytes, size_t size, size_t count, void* context) {
  const std::string line(bytes, size * count);
  const size_t colon = line.find(':'), end = line.find_last_not_of("\r\n ");
  if (colon != std::string::npos && end != std::string::npos && end > colon) {
    static_cast<Answer*>(context)->trailers[line.substr(0, colon)] =
        line.substr(std::min(colon + 2, end), end - std::min(colon + 2, end) + 1);
  }
  return size * count;
}

// One unary call. Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md).
absl::StatusOr<Answer> Call(const std::string& socket, const std::string& method,
                            const std::string& message, Duration limit) {
  std::string body(5, '\0');  // not compressed, four bytes of length
  body[4] = static_cast<char>(message.size());
  body += message;
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(::curl_easy_init(), &::curl_easy_cleanup);
  if (!curl) return absl::ResourceExhaustedError("no memory for a request");
  curl_slist* list = nullptr;
  for (const char* header : {"content-type: application/grpc", "te: trailers", "expect:"}) {
    list = ::curl_slist_append(list, header);
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, &::curl_slist_free_all);
  Answer answer;
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
  set(CURLOPT_WRITEDATA, &answer);
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, &answer);
  const CURLcode done = ::curl_easy_perform(curl.get());
  // A server may close the stream with an error right after its trailers.
  if (done != CURLE_OK && !answer.trailers.contains("grpc-status")) {
    return Error(absl::StatusCode::kUnavailable, "call {} at {}: {}", method, socket,
                 ::curl_easy_strerror(done));
  }
  if (!answer.trailers.contains("grpc-status")) {
    return Error(absl::StatusCode::kUnavailable, "call {} at {}: the answer is not gRPC's", method,
                 socket);
  }
  return answer;
}

struct Field {
  uint64_t number = 0;
  std::string bytes;  // of a length-delimited one
};

// The fields of a protobuf message, as far as it is one.
std::vector<Field> FieldsOf(std::string_view message) {
  std::vector<Field> fields;
  size_t at = 0;
  const auto varint = [&]() {
    uint64_t value = 0;
    for (int shift = 0; at < message.size() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(message[at++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < message.size()) {
    const uint64_t key = varint();
    Field field{.number = key >> 3, .bytes = {}};
    switch (key & 7) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const uint64_t length = varint();
        if (length > message.size() - std::min(at, message.size())) return fields;
        field.bytes = message.substr(at, length);
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return fields;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace

absl::StatusOr<std::string> AskPodResources(const std::string& socket, Duration limit) {
  const std::string name = "gpuhost-node-validator-asks", name_space = "default";
  std::string request = "\x0a";
  request += static_cast<char>(name.size());
  request += name + "\x12";
  request += static_cast<char>(name_space.size());
  request += name_space;
  GPUHOST_ASSIGN(Answer answer, Call(socket, "v1.PodResourcesLister/Get", request, limit));
  if (answer.trailers["grpc-status"] == "0") return "found";
  return fmt::format("{} (gRPC status {})", answer.trailers["grpc-message"],
                     answer.trailers["grpc-status"]);
}

absl::StatusOr<std::string> AskRuntimeHandlers(const std::string& socket, Duration limit) {
  GPUHOST_ASSIGN(Answer answer, Call(socket, "runtime.v1.RuntimeService/Status", "", limit));
  if (answer.trailers["grpc-status"] != "0") {
    return Error(absl::StatusCode::kUnavailable, "{} (gRPC status {})",
                 answer.trailers["grpc-message"], answer.trailers["grpc-status"]);
  }
  constexpr uint64_t kHandlers = 3, kName = 1;
  std::string names;
  if (answer.body.size() < 5) return names;
  for (const Field& handler : FieldsOf(std::string_view(answer.body).substr(5))) {
    if (handler.number != kHandlers) continue;
    for (const Field& field : FieldsOf(handler.bytes)) {
      if (field.number == kName && !field.bytes.empty()) names += field.bytes + "\n";
    }
  }
  return names;
}

}  // namespace gpuhost::node_validator
