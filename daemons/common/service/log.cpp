// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/log.h"

#include <signal.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// sd-daemon(3): "<N>" in front of a line is its priority in the journal.
std::string_view JournalPrefix(Level level) {
  switch (level) {
    case Level::kDebug:
      return "<7>";
    case Level::kInfo:
      return "<6>";
    case Level::kWarning:
      return "<4>";
    case Level::kError:
      return "<3>";
  }
  return "<3>";
}

bool UnderJournal() { return std::getenv("JOURNAL_STREAM") != nullptr; }

// A value with blanks, quotes or control characters is quoted; nothing can forge a second line.
std::string Quoted(const std::string& value) {
  const bool plain = value.find_first_of(" \"=\\") == std::string::npos;
  std::string text;
  bool control = false;
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      control = true;
      continue;
    }
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return plain && !control ? text : fmt::format("\"{}\"", text);
}

}  // namespace

Field::Field(std::string_view name, const absl::Status& status) : key(name), value(Text(status)) {}

void StartLog(std::string_view program, Level lowest) {
  ::signal(SIGPIPE, SIG_IGN);  // nobody reads stderr any more: no reason to end
  auto logger = std::make_shared<spdlog::logger>(std::string(program),
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(ToSpdlog(lowest));
  logger->flush_on(spdlog::level::trace);
  const char* pattern = UnderJournal() ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %n %l: %v";
  logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  spdlog::set_default_logger(std::move(logger));
}

void Log(Level level, std::string_view text, std::initializer_list<Field> fields) {
  std::string line(UnderJournal() ? JournalPrefix(level) : "");
  line += text;
  for (const Field& field : fields) {
    if (!field.value.empty()) line += fmt::format(" {}={}", field.key, Quoted(field.value));
  }
  spdlog::default_logger_raw()->log(ToSpdlog(level), "{}", line);
}

}  // namespace gpuhost::service
