// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "daemons/node-validator/report/report.h"
#include "daemons/node-validator/report/text.h"
#include "test/unit/node-validator/node_tree.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

Report JudgeTree(test::NodeTree& node) {
  const HostFs fs(node.root().path());
  const Tree tree(fs);
  REQUIRE(tree.captured());
  const auto questions = AskCapture(tree);
  return Judge(Observe(tree, *questions, node.depth()));
}

std::string GoldenPath(const std::string& name) {
  return test::NodeTree::Directory() + "/" + name + ".golden";
}

std::string Golden(const test::NodeTree& node, const Report& report) {
  return "# SPDX-License-Identifier: Apache-2.0\n# " + node.title() + "\n" +
         RenderText(report, {.colour = false, .width = 80});
}

}  // namespace

TEST_CASE("the validator names what is the matter with each node", "[golden]") {
  const std::string name = GENERATE(from_range(test::NodeTree::All()));
  CAPTURE(name);
  test::NodeTree node(name);
  const Report report = JudgeTree(node);
  const std::string text = Golden(node, report);

  const char* mode = std::getenv("NODE_GOLDEN");
  if (mode != nullptr && std::string(mode) == "write") std::ofstream(GoldenPath(name)) << text;
  std::ifstream file(GoldenPath(name));
  const std::string golden(std::istreambuf_iterator<char>(file), {});
  CHECK(text == golden);

  std::vector<std::string> causes;
  for (const Line* line : report.Causes()) {
    if (line->severity != Severity::kInfo) causes.emplace_back(line->check->id);
  }
  CHECK(causes == node.causes());
}

TEST_CASE("a healthy node is ready, and nothing of it is unknown", "[golden]") {
  const std::string name = GENERATE("snp-healthy", "tdx-healthy");
  test::NodeTree node(name);
  const Report report = JudgeTree(node);
  CHECK(VerdictOf(report) == Verdict::kReady);
  CHECK(report.Count(State::kUnknown) == 0);
  CHECK(report.Count(State::kFail) == 0);
}
