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
constexpr uint64_t kLookAtSpace = 32 << 20;  // bytes between two looks
constexpr uint64_t kWorthWhile = 1 << 16;    // bytes after which a try counts as none that failed
constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr Duration kLongestAsked = std::chrono::minutes(5);
constexpr Duration kBlobLimit = std::chrono::hours(6);
constexpr Duration kBlobIdle = std::chrono::seconds(60);

bool IsRedirect(int code) {
  return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}
bool IsBusy(int code) { return code == 408 || code == 429 || code >= 500; }

constexpr const char* kDockerTokens = "https://auth.docker.io";

std::string HeaderOf(const kube::Response& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

absl::Status StatusOf(const kube::Response& response, const std::string& what) {
  switch (const int code = response.code) {
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
                   "{}: the server answers {}{}", what, code,
                   response.retry_after ? fmt::format(" and wants to be left alone for {:.0f} s",
                                                      Seconds(*response.retry_after))
                                        : "");
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

bool Registry::IsPlain(const std::string& authority) const {
  return std::ranges::any_of(settings_.plain_http, [&](const std::string& listed) {
    return NormalAuthority("http", listed) == NormalAuthority("http", authority);
  });
}

Url Registry::Home() const {
  const std::string host = reference_.Server();
  const std::string scheme = IsPlain(host) ? "http" : "https";
  return {fmt::format("{}://{}", scheme, NormalAuthority(scheme, host)), "/"};
}

absl::StatusOr<Url> Registry::Resolve(const Url& base, const std::string& location) const {
  GPUHOST_ASSIGN(Url url, ResolveUrl(base, location));
  if (url.IsSecure() || IsPlain(url.Authority())) return url;
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} leads to {} without TLS; list that host under registry.plainHttp if it must be",
               base.server, url.server);
}

// One request. Its error does not repeat what may be a secret.
absl::StatusOr<kube::Response> Registry::Ask(const Url& url, kube::Request request,
                                             const kube::BodySink& sink) {
  request.path = url.path;
  request.plain_http = !url.IsSecure();
  auto response =
      deps_.http.Stream({.server = url.server, .ca_pem = settings_.ca_pem}, request, sink);
  const size_t query = url.path.find('?');
  if (response.ok() || query == std::string::npos) return response;
  std::string text = Text(response.status());
  const std::string secret = url.path.substr(query);
  for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret)) {
    text.erase(at, secret.size());
  }
  return absl::Status(response.status().code(), text);
}

// One answer that is no redirection. The login goes to the registry itself, and not any more once
// it has led elsewhere.
absl::StatusOr<Registry::Answer> Registry::SendOnce(const Url& first, kube::Request request,
                                                    const kube::BodySink& sink) {
  Url url = first;
  Answer answer;
  const std::vector<std::string> headers = request.headers;
  for (int i = 0; i <= kMostRedirects; ++i) {
    answer.by_registry = answer.by_registry && url.server == first.server;
    request.headers = headers;
    if (answer.by_registry && !authorization_.empty()) {
      request.headers.push_back("Authorization: " + authorization_);
    }
    GPUHOST_ASSIGN(answer.response, Ask(url, request, sink));
    if (!IsRedirect(answer.response.code)) return answer;
    GPUHOST_ASSIGN(url, Resolve(url, HeaderOf(answer.response, "location")));
  }
  return Error(absl::StatusCode::kDataLoss, "{}: it leads from one place to the next",
               first.Shown());
}

absl::StatusOr<kube::Response> Registry::Send(const std::string& path, const kube::Request& request,
                                              const kube::BodySink& sink) {
  Url url = Home();
  url.path = fmt::format("/v2/{}/{}", reference_.repository, path);
  GPUHOST_ASSIGN(Answer answer, SendOnce(url, request, sink));
  if (answer.response.code == 401 && answer.by_registry) {
    GPUHOST_TRY(LogIn(answer.response));
    GPUHOST_ASSIGN(answer, SendOnce(url, request, sink));
  }
  kube::Response& response = answer.response;
  asked_pause_ = response.retry_after;
  const bool is_success = response.code >= 200 && response.code < 300;
  if (is_success || response.code == 416) return std::move(response);
  const bool is_refused = response.code == 401 || response.code == 403;
  if (is_refused && answer.by_registry && !login_trouble_.ok()) return login_trouble_;
  return StatusOf(response,
                  answer.by_registry ? url.Shown() : "where " + url.Shown() + " has led to");
}

absl::Status Registry::LogIn(const kube::Response& refusal) {
  GPUHOST_ASSIGN(FoundLogin found, find_login_());
  login_trouble_ = found.trouble;
  const std::optional<Login>& login = found.login;
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
  if (!login_trouble_.ok()) return login_trouble_;
  if (login) return StatusOf(refusal, reference_.host);
  return Error(absl::StatusCode::kUnauthenticated,
               "{} wants a login, and there is none for {}/{}; see pullSecret", reference_.host,
               reference_.host, reference_.repository);
}

// Whoever can answer in the registry's stead names the server of tokens.
absl::Status Registry::MayHaveLogin(const Url& token_server) const {
  const Url home = Home();
  if (token_server.server == home.server) return absl::OkStatus();
  const bool is_listed = std::ranges::any_of(settings_.token_hosts, [&](const std::string& listed) {
    return NormalAuthority("https", listed) == token_server.Authority();
  });
  const bool is_dockers = reference_.IsDockerHub() && token_server.server == kDockerTokens;
  if (home.IsSecure() && token_server.IsSecure() && (is_listed || is_dockers)) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} wants its login to be sent to {}, which {}", home.server, token_server.server,
               home.IsSecure() && token_server.IsSecure()
                   ? "is not among registry.tokenHosts; list it there if that is right"
                   : "is another server, and one of both is without TLS; anybody on the way could "
                     "have named it");
}

absl::StatusOr<std::string> Registry::FetchToken(const std::optional<Login>& login,
                                                 const std::string& realm,
                                                 const std::string& service,
                                                 const std::string& scope) {
  GPUHOST_ASSIGN(Url url, Resolve(Home(), realm));
  if (login) GPUHOST_TRY(MayHaveLogin(url));
  kube::Request request;
  const std::string query =
      fmt::format("service={}&scope={}", UrlEncoded(service), UrlEncoded(scope));
  if (login && !login->identity_token.empty()) {
    request.method = "POST";
    request.content_type = "application/x-www-form-urlencoded";
    request.body = fmt::format("grant_type=refresh_token&client_id=gpuhost&{}&refresh_token={}",
                               query, UrlEncoded(login->identity_token));
  } else {
    url.path += (url.path.find('?') == std::string::npos ? "?" : "&") + query;
    if (login) {
      request.headers.push_back("Authorization: " +
                                BasicAuthorization(login->user, login->password));
    }
  }
  GPUHOST_ASSIGN(const kube::Response response, Ask(url, request, {}));
  asked_pause_ = response.retry_after;
  const bool is_refused = response.code == 401 || response.code == 403;
  if (is_refused && !login_trouble_.ok()) return login_trouble_;
  if (response.code != 200) return StatusOf(response, "a token from " + url.server);
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  for (const char* key : {"token", "access_token"}) {
    if (json.is_object() && json.contains(key) && json[key].is_string()) {
      return json[key].get<std::string>();
    }
  }
  return Error(absl::StatusCode::kDataLoss, "{} answers without a token", url.server);
}

absl::Status Registry::Pause(int attempt, const absl::Status& why) {
  const Duration own = std::min(kFirstPause * (1 << (2 * attempt)), kLongestPause);
  const Duration end = asked_pause_ ? std::clamp(*asked_pause_, own, kLongestAsked) : own;
  constexpr Duration kStep = std::chrono::milliseconds(100);
  GPUHOST_TRY(CheckStopping(deps_.stopping));
  deps_.waiting(end, why);
  for (Duration waited{}; waited < end; waited += kStep) {
    GPUHOST_TRY(CheckStopping(deps_.stopping));
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
    if (attempt + 1 < kTries) GPUHOST_TRY(Pause(attempt, response.status()));
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

absl::Status Registry::FetchBlobOnce(const std::string& digest, uint64_t size, const Store& store,
                                     Partial& partial) {
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
    const uint64_t before = partial.size() / kLookAtSpace;
    GPUHOST_TRY(partial.Append(bytes));
    // Others write to the disk, too.
    if (partial.size() / kLookAtSpace != before) GPUHOST_TRY(store.CheckSpace(0));
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
    GPUHOST_ASSIGN(const bool has_come, store.Has(digest));
    if (has_come) {  // by another one, for whom Begin has waited
      store.Discard(digest);
      return absl::OkStatus();
    }
    const uint64_t had = partial.size();
    resumed = resumed || had > 0;
    status =
        had == size && size > 0 ? absl::OkStatus() : FetchBlobOnce(digest, size, store, partial);
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
    if (partial.size() >= had + kWorthWhile) attempt = -1;  // it moves
    if (attempt + 1 < kTries) GPUHOST_TRY(Pause(std::max(attempt, 0), status));
  }
  return status;
}

}  // namespace gpuhost::kata_manager::artifacts
