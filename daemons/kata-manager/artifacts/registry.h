// SPDX-License-Identifier: Apache-2.0
//
// A registry of OCI artefacts, as far as fetching goes.
// Source: OCI Distribution Specification 1.1; the token protocol of the Distribution project.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemons/common/kube/http.h"
#include "daemons/kata-manager/artifacts/credentials.h"
#include "daemons/kata-manager/artifacts/reference.h"
#include "daemons/kata-manager/artifacts/store.h"
#include "daemons/kata-manager/artifacts/url.h"

namespace gpuhost::kata_manager::artifacts {

struct RegistryDeps {
  kube::HttpClient& http;
  Clock& clock;
  Stopping stopping = {};  // asked before each wait
  // Told of a wait before the next try, and why there is one.
  std::function<void(Duration pause, const absl::Status& why)> waiting = [](Duration,
                                                                            const absl::Status&) {};
  // Called while a blob comes in.
  std::function<void(uint64_t arrived, uint64_t size)> progress = [](uint64_t, uint64_t) {};
};

// The login for this repository, asked for when the registry wants one.
struct FoundLogin {
  std::optional<Login> login;
  absl::Status trouble;  // why there is none, said when it does not go without
};
using FindLogin = std::function<absl::StatusOr<FoundLogin>()>;

struct RegistrySettings {
  std::string ca_pem;                   // who may vouch for servers; empty: the system's
  std::vector<std::string> plain_http;  // hosts without TLS
  // Who may be given a login besides the registry itself; never for a registry without TLS.
  std::vector<std::string> token_hosts;
};

// Errors of both requests:
//   kUnauthenticated   the registry wants a login, or another one
//   kPermissionDenied  this login may not have it
//   kNotFound          there is no such artefact
//   kDataLoss          what came is not what was asked for
//   kFailedPrecondition  the login is with a credential helper, or the registry wants it to be sent
//                        to a server that is not trusted with it; an address without TLS
//   kUnavailable       five tries failed, the server's own pauses kept; what came is kept
//   kResourceExhausted the disk is full; what came is removed
//   kCancelled         this process is to end
class Registry {
 public:
  Registry(RegistryDeps deps, Reference reference, FindLogin find_login, RegistrySettings settings)
      : deps_(std::move(deps)),
        reference_(std::move(reference)),
        find_login_(std::move(find_login)),
        settings_(std::move(settings)) {}

  struct Document {
    std::string bytes, digest;
  };
  // The manifest or index of this digest or tag, at most 4 MiB.
  absl::StatusOr<Document> FetchManifest(const std::string& version);
  // Puts a blob into the store, going on where an earlier try has stopped.
  absl::Status FetchBlob(const std::string& digest, uint64_t size, Store& store);

 private:
  struct Answer {
    kube::Response response;
    bool by_registry = true;  // false: it had led elsewhere
  };
  Url Home() const;
  absl::StatusOr<Url> Resolve(const Url& base, const std::string& location) const;
  bool IsPlain(const std::string& authority) const;
  absl::Status MayHaveLogin(const Url& token_server) const;
  absl::StatusOr<kube::Response> Ask(const Url& url, kube::Request request,
                                     const kube::BodySink& sink);
  absl::StatusOr<Answer> SendOnce(const Url& url, kube::Request request,
                                  const kube::BodySink& sink);
  absl::StatusOr<kube::Response> Send(const std::string& path, const kube::Request& request,
                                      const kube::BodySink& sink);
  absl::Status LogIn(const kube::Response& refusal);
  absl::StatusOr<std::string> FetchToken(const std::optional<Login>& login,
                                         const std::string& realm, const std::string& service,
                                         const std::string& scope);
  absl::Status FetchBlobOnce(const std::string& digest, uint64_t size, const Store& store,
                             Partial& partial);
  absl::Status Pause(int attempt, const absl::Status& why);

  RegistryDeps deps_;
  const Reference reference_;
  const FindLogin find_login_;
  const RegistrySettings settings_;
  std::string authorization_;  // "Bearer ..." or "Basic ..."; for the registry itself alone
  std::optional<Duration> asked_pause_;
  absl::Status login_trouble_;
};

}  // namespace gpuhost::kata_manager::artifacts
