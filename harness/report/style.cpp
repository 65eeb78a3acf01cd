#include "harness/report/style.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

namespace chokepoint {
namespace {

std::optional<int> columns_from(const std::optional<std::string>& text) {
  int columns = 0;
  if (!text) return std::nullopt;
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), columns);
  if (fault != std::errc{} || end != text->data() + text->size() || columns <= 0) return std::nullopt;
  return columns;
}

bool decide_color(bool is_terminal, const Environment& environment) {
  const auto is_set = [&](const char* name) { return !environment(name).value_or("").empty(); };
  if (is_set("NO_COLOR")) return false;
  if (is_set("CLICOLOR_FORCE") && environment("CLICOLOR_FORCE") != "0") return true;
  const bool in_ci = is_set("CI") && environment("CI") != "false" && environment("CI") != "0";
  return is_terminal && environment("TERM") != "dumb" && !in_ci;
}

bool decide_unicode(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string locale = environment(name).value_or("");
    if (locale.empty()) continue;
    std::transform(locale.begin(), locale.end(), locale.begin(), [](unsigned char c) { return std::tolower(c); });
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

Style decide_style(bool is_terminal, std::optional<int> terminal_columns, const Environment& environment) {
  int width = is_terminal ? kTerminalWidth : kFileWidth;
  if (is_terminal && terminal_columns && *terminal_columns > 0) width = *terminal_columns;
  if (const std::optional<int> columns = columns_from(environment("COLUMNS"))) width = *columns;
  return {std::clamp(width, kLeastWidth, kMostWidth), decide_color(is_terminal, environment),
          decide_unicode(environment)};
}

Style style_of(int descriptor) {
  winsize size{};
  const bool is_terminal = ::isatty(descriptor) == 1;
  const bool has_size = is_terminal && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return decide_style(is_terminal, has_size ? std::optional<int>(size.ws_col) : std::nullopt,
                      [](const std::string& name) -> std::optional<std::string> {
                        const char* value = std::getenv(name.c_str());
                        return value ? std::optional<std::string>(value) : std::nullopt;
                      });
}

}  // namespace chokepoint
