// SPDX-License-Identifier: Apache-2.0
#include "test/kubelet/options.h"

#include <CLI/CLI.hpp>

#include "libgpuhost/base/parse.h"

namespace gpuhost::kubelet {
namespace {

std::pair<std::string, size_t> ParseRequest(const std::string& text) {
  const size_t equals = text.find('=');
  const auto count = equals == std::string::npos
                         ? std::nullopt
                         : ParseDecimal(std::string_view(text).substr(equals + 1), 1024);
  if (!count) throw CLI::ValidationError("--allocate " + text, "is not RESOURCE=COUNT");
  return {text.substr(0, equals), *count};
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::vector<std::string> requests;
  CLI::App app("Plays the kubelet towards device plugins and prints what they say",
               "kubelet-stand-in");
  app.add_option("--dir", options.directory, "Directory of kubelet.sock")->capture_default_str();
  app.add_option("--until-devices", options.until_devices,
                 "End with status 0 when exactly so many devices are healthy");
  app.add_option("--allocate", requests, "Then ask for devices: RESOURCE=COUNT");
  app.add_option("--timeout", options.timeout, "End with status 1 after so many seconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    for (const std::string& request : requests) options.allocate.push_back(ParseRequest(request));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return options;
}

}  // namespace gpuhost::kubelet
