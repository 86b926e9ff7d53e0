// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/url.h"

#include <absl/strings/ascii.h>
#include <curl/curl.h>

#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string PartOf(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

}  // namespace

absl::StatusOr<Url> ResolveUrl(const Url& base, const std::string& reference) {
  const Handle url(curl_url(), &curl_url_cleanup);
  const std::string from = base.server + base.path;
  const auto set = [&](const std::string& text) {
    return curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_URLENCODE) == CURLUE_OK;
  };
  if (reference.empty() || !set(from) || !set(reference)) {
    return Error(absl::StatusCode::kInvalidArgument, "{} leads to what is no address", base.server);
  }
  const std::string scheme = PartOf(url.get(), CURLUPART_SCHEME);
  const std::string host = absl::AsciiStrToLower(PartOf(url.get(), CURLUPART_HOST));
  const std::string port = PartOf(url.get(), CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
  const std::string query = PartOf(url.get(), CURLUPART_QUERY);
  if (scheme != "https" && scheme != "http") {
    return Error(absl::StatusCode::kInvalidArgument, "{} leads to an address of '{}', not of https",
                 base.server, scheme);
  }
  if (!PartOf(url.get(), CURLUPART_USER).empty() ||
      !PartOf(url.get(), CURLUPART_PASSWORD).empty()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "{} leads to an address of {} with a user name in it", base.server, host);
  }
  const std::string path = PartOf(url.get(), CURLUPART_PATH);
  return Url{fmt::format("{}://{}{}{}", scheme, host, port.empty() ? "" : ":", port),
             (path.empty() ? "/" : path) + (query.empty() ? "" : "?" + query)};
}

std::string NormalAuthority(const std::string& scheme, const std::string& authority) {
  const auto url = ResolveUrl({scheme + "://" + authority, "/"}, "/");
  return url.ok() ? url->Authority() : authority;
}

}  // namespace gpuhost::kata_manager::artifacts
