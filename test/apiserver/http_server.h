// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "test/apiserver/state.h"

namespace gpuhost::apiserver {

// Answers HTTPS on 127.0.0.1 out of the state, from threads of its own, until it goes.
class HttpServer {
 public:
  explicit HttpServer(State& state);
  ~HttpServer();
  int port() const;
  const std::string& ca_pem() const;  // vouches for it

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuhost::apiserver
