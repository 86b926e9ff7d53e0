// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gpuhost::registry {

// A file of an artefact.
struct File {
  std::string title, bytes;
  bool unpack = false;
};

enum class Auth { kNone, kBasic, kBearer };

// How an answer is to go wrong.
struct Fault {
  enum class Kind {
    kStatus,      // this status, with Retry-After if given
    kCut,         // the connection breaks after `bytes`
    kOtherBytes,  // as many, and others
    kMoreBytes,   // more than there are
    kWholeRange,  // all from the beginning, whatever range was asked for
    kElsewhere,   // to `text`
  };
  Kind kind;
  int status = 503;
  int64_t retry_after = 0;  // seconds
  uint64_t bytes = 0;
  std::string text;
};

// A registry of OCI artefacts on 127.0.0.1, over HTTPS, which does what it is told.
class ScriptedRegistry {
 public:
  ScriptedRegistry();
  ~ScriptedRegistry();

  std::string host() const;           // "127.0.0.1:12345"
  const std::string& ca_pem() const;  // vouches for it

  // An artefact "kata/gpu", also under `tag`; its digest.
  std::string AddArtifact(const std::vector<File>& files, const std::string& tag = "v1");
  // A manifest, or anything, as it stands.
  std::string AddManifest(const std::string& bytes, const std::string& tag);
  std::string AddBlob(const std::string& bytes);

  // Logins: user "u" with password "p", or the identity token "i".
  void Demand(Auth auth);
  // Tokens that were given out are no longer good.
  void Revoke();
  // The next requests whose path contains `what` suffer these, one after the other.
  void Suffer(const std::string& what, const std::vector<Fault>& faults);

  struct Request {
    std::string path, authorization, range;
  };
  std::vector<Request> Requests() const;
  int CountOf(const std::string& what) const;  // of requests whose path contains it

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuhost::registry
