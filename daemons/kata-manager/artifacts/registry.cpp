// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemons/kata-manager/artifacts/challenge.h"
#include "daemons/kata-manager/artifacts/manifest.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr int kTries = 5;
constexpr int kMostRedirects = 5;
constexpr size_t kLargestManifest = 4 << 20;
constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr Duration kLongestAsked = std::chrono::minutes(5);
constexpr Duration kBlobLimit = std::chrono::hours(6);
constexpr Duration kBlobIdle = std::chrono::seconds(60);

bool IsRedirect(int code) {
  return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}
bool IsBusy(int code) { return code == 408 || code == 429 || code >= 500; }

std::string HeaderOf(const kube::Response& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

absl::Status StatusOf(int code, const std::string& what) {
  switch (code) {
    case 401:
      return Error(absl::StatusCode::kUnauthenticated,
                   "{}: the registry does not accept the login, or wants one; see pullSecret",
                   what);
    case 403:
      return Error(absl::StatusCode::kPermissionDenied, "{}: this login may not have it", what);
    case 404:
      return Error(absl::StatusCode::kNotFound, "{}: there is no such thing", what);
    default:
      return Error(IsBusy(code) ? absl::StatusCode::kUnavailable : absl::StatusCode::kInternal,
                   "{}: the server answers {}", what, code);
  }
}

bool IsWorthAnotherTry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// "bytes 7-99/100": 7.
std::optional<uint64_t> FirstByte(const std::string& range) {
  constexpr std::string_view kUnit = "bytes ";
  if (!range.starts_with(kUnit)) return std::nullopt;
  uint64_t first = 0;
  size_t at = kUnit.size();
  if (at >= range.size() || range[at] < '0' || range[at] > '9') return std::nullopt;
  for (; at < range.size() && range[at] >= '0' && range[at] <= '9'; ++at) {
    first = first * 10 + static_cast<uint64_t>(range[at] - '0');
  }
  return first;
}

}  // namespace

bool Registry::IsPlain(const std::string& server) const {
  const std::string host = server.substr(server.find("://") + 3);
  return std::ranges::find(settings_.plain_http, host) != settings_.plain_http.end();
}

absl::StatusOr<Registry::Url> Registry::Resolve(const Url& base,
                                                const std::string& location) const {
  if (location.starts_with('/') && !location.starts_with("//")) return Url{base.server, location};
  const size_t scheme = location.find("://");
  const size_t path = location.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  if (scheme == std::string::npos || path == std::string::npos) {
    return Error(absl::StatusCode::kDataLoss, "{}: it leads to '{}', which is no address",
                 base.server, location.substr(0, 80));
  }
  const Url url{location.substr(0, path), location.substr(path)};
  const bool secure = url.server.starts_with("https://");
  if (!secure && !(url.server.starts_with("http://") && IsPlain(url.server))) {
    return Error(
        absl::StatusCode::kFailedPrecondition,
        "{} leads to {} without TLS; list that host under registry.plainHttp if it must be",
        base.server, url.server);
  }
  return url;
}

// One answer that is no redirection. The login goes to the registry itself and nowhere else.
absl::StatusOr<kube::Response> Registry::SendOnce(const Url& first, kube::Request request,
                                                  const kube::BodySink& sink) {
  Url url = first;
  const std::vector<std::string> headers = request.headers;
  for (int i = 0; i <= kMostRedirects; ++i) {
    request.path = url.path;
    request.headers = headers;
    request.plain_http = IsPlain(url.server);
    if (url.server == first.server && !authorization_.empty()) {
      request.headers.push_back("Authorization: " + authorization_);
    }
    GPUHOST_ASSIGN(
        kube::Response response,
        deps_.http.Stream({.server = url.server, .ca_pem = settings_.ca_pem}, request, sink));
    if (!IsRedirect(response.code)) return response;
    GPUHOST_ASSIGN(url, Resolve(url, HeaderOf(response, "location")));
  }
  return Error(absl::StatusCode::kDataLoss, "{}{}: it leads from one place to the next",
               first.server, first.path);
}

absl::StatusOr<kube::Response> Registry::Send(const std::string& path, const kube::Request& request,
                                              const kube::BodySink& sink) {
  const std::string host = "://" + reference_.host;
  const Url url{(IsPlain(host) ? "http" : "https") + host,
                fmt::format("/v2/{}/{}", reference_.repository, path)};
  GPUHOST_ASSIGN(kube::Response response, SendOnce(url, request, sink));
  if (response.code == 401) {
    GPUHOST_TRY(LogIn(response));
    GPUHOST_ASSIGN(response, SendOnce(url, request, sink));
  }
  asked_pause_ = response.retry_after;
  if (response.code >= 200 && response.code < 300) return response;
  if (response.code == 416) return response;
  return StatusOf(response.code, url.server + url.path);
}

absl::Status Registry::LogIn(const kube::Response& refusal) {
  GPUHOST_ASSIGN(const auto login, find_login_());
  const auto challenges = ParseChallenges(HeaderOf(refusal, "www-authenticate"));
  const auto bearer = std::ranges::find(challenges, "bearer", &Challenge::scheme);
  const auto basic = std::ranges::find(challenges, "basic", &Challenge::scheme);
  if (bearer != challenges.end()) {
    auto parameters = bearer->parameters;
    const std::string scope = parameters["scope"].empty()
                                  ? fmt::format("repository:{}:pull", reference_.repository)
                                  : parameters["scope"];
    GPUHOST_ASSIGN(const std::string token,
                   FetchToken(login, parameters["realm"], parameters["service"], scope));
    authorization_ = "Bearer " + token;
    return absl::OkStatus();
  }
  if (basic != challenges.end() && login && !login->password.empty()) {
    authorization_ = BasicAuthorization(login->user, login->password);
    return absl::OkStatus();
  }
  return StatusOf(401, reference_.host);
}

absl::StatusOr<std::string> Registry::FetchToken(const std::optional<Login>& login,
                                                 const std::string& realm,
                                                 const std::string& service,
                                                 const std::string& scope) {
  GPUHOST_ASSIGN(const Url url, Resolve({"https://" + reference_.host, "/"}, realm));
  kube::Request request{.path = url.path, .plain_http = IsPlain(url.server)};
  const std::string query =
      fmt::format("service={}&scope={}", UrlEncoded(service), UrlEncoded(scope));
  if (login && !login->identity_token.empty()) {
    request.method = "POST";
    request.content_type = "application/x-www-form-urlencoded";
    request.body = fmt::format("grant_type=refresh_token&client_id=gpuhost&{}&refresh_token={}",
                               query, UrlEncoded(login->identity_token));
  } else {
    request.path += (url.path.find('?') == std::string::npos ? "?" : "&") + query;
    if (login) {
      request.headers.push_back("Authorization: " +
                                BasicAuthorization(login->user, login->password));
    }
  }
  GPUHOST_ASSIGN(const kube::Response response,
                 deps_.http.Send({.server = url.server, .ca_pem = settings_.ca_pem}, request));
  asked_pause_ = response.retry_after;
  if (response.code != 200) return StatusOf(response.code, "a token from " + url.server);
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  for (const char* key : {"token", "access_token"}) {
    if (json.is_object() && json.contains(key) && json[key].is_string()) {
      return json[key].get<std::string>();
    }
  }
  return Error(absl::StatusCode::kDataLoss, "{} answers without a token", url.server);
}

absl::Status Registry::Pause(int attempt, const std::optional<Duration>& asked) {
  const Duration own = std::min(kFirstPause * (1 << (2 * attempt)), kLongestPause);
  const Duration end = asked ? std::clamp(*asked, own, kLongestAsked) : own;
  constexpr Duration kStep = std::chrono::milliseconds(100);
  for (Duration waited{}; waited < end; waited += kStep) {
    if (deps_.stopping()) return absl::CancelledError("about to end");
    deps_.clock.SleepFor(std::min(kStep, end - waited));
  }
  return absl::OkStatus();
}

absl::StatusOr<Registry::Document> Registry::FetchManifest(const std::string& version) {
  absl::StatusOr<kube::Response> response = absl::UnavailableError("not asked");
  for (int attempt = 0; attempt < kTries; ++attempt) {
    asked_pause_.reset();
    response = Send("manifests/" + version, {.accept = kManifestTypes}, {});
    if (response.ok() || !IsWorthAnotherTry(response.status())) break;
    if (attempt + 1 < kTries) GPUHOST_TRY(Pause(attempt, asked_pause_));
  }
  if (!response.ok()) return response.status();
  if (response->body.size() > kLargestManifest) {
    return Error(absl::StatusCode::kDataLoss, "the manifest of {} is larger than 4 MiB",
                 reference_.repository);
  }
  Document document{response->body, "sha256:" + Sha256Of(response->body)};
  if (IsDigest(version) && document.digest != version) {
    return Error(absl::StatusCode::kDataLoss, "{} gives a manifest with {} for {}", reference_.host,
                 document.digest, version);
  }
  return document;
}

absl::Status Registry::FetchBlobOnce(const std::string& digest, uint64_t size, Partial& partial) {
  kube::Request request{.limit = kBlobLimit, .idle = kBlobIdle, .accept = "*/*"};
  const uint64_t had = partial.size();
  if (had > 0) request.headers.push_back(fmt::format("Range: bytes={}-", had));
  request.on_head = [&](const kube::Response& head) -> absl::Status {
    const bool goes_on = head.code == 206 && FirstByte(HeaderOf(head, "content-range")) == had;
    if (goes_on || partial.size() == 0) return absl::OkStatus();
    if (head.code == 206) {
      return Error(absl::StatusCode::kDataLoss, "{} does not begin where it was asked to", digest);
    }
    return partial.Restart();
  };
  const auto sink = [&](std::string_view bytes) -> absl::Status {
    GPUHOST_TRY(partial.Append(bytes));
    deps_.progress(partial.size(), size);
    return absl::OkStatus();
  };
  GPUHOST_ASSIGN(const kube::Response response, Send("blobs/" + digest, request, sink));
  // The registry has less than what is here.
  return response.code == 416 ? partial.Restart() : absl::OkStatus();
}

absl::Status Registry::FetchBlob(const std::string& digest, uint64_t size, Store& store) {
  absl::Status status;
  bool resumed = false;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    asked_pause_.reset();
    GPUHOST_ASSIGN(Partial partial, store.Begin(digest, size));
    const uint64_t had = partial.size();
    resumed = resumed || had > 0;
    status = had == size && size > 0 ? absl::OkStatus() : FetchBlobOnce(digest, size, partial);
    const bool cut = status.ok() && partial.size() < size;
    if (cut) {
      status = Error(absl::StatusCode::kUnavailable, "{}: only {} of {} bytes came", digest,
                     partial.size(), size);
    }
    if (status.ok()) {
      status = store.Finish(digest, std::move(partial));
      if (status.ok() || !resumed || !absl::IsDataLoss(status)) return status;
      resumed =
          false;  // the part of an earlier try may have been bad: once more, from its beginning
      continue;
    }
    if (absl::IsDataLoss(status) || absl::IsResourceExhausted(status)) store.Discard(digest);
    if (!IsWorthAnotherTry(status)) return status;
    if (partial.size() > had) attempt = -1;  // it moves
    if (attempt + 1 < kTries) GPUHOST_TRY(Pause(std::max(attempt, 0), asked_pause_));
  }
  return status;
}

}  // namespace gpuhost::kata_manager::artifacts
