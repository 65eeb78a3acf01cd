#include "harness/report/markdown.hpp"

#include <cctype>
#include <cstddef>

#include "harness/report/text.hpp"

namespace chokepoint {

std::string markdown_escaped(std::string_view text) {
  const std::string clean = printable(text);
  std::string out;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    const char c = clean[i];
    const auto is_word = [&](std::size_t at) {
      return at < clean.size() && std::isalnum(static_cast<unsigned char>(clean[at]));
    };
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (std::string_view("\\|`*~$").find(c) != std::string_view::npos)
      out += std::string("\\") + c;
    else if (c == '_' && !(i > 0 && is_word(i - 1) && is_word(i + 1)))
      out += "\\_";
    else if (c == '[' || (c == ']' && i + 1 < clean.size() && (clean[i + 1] == '(' || clean[i + 1] == '[')))
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

}  // namespace chokepoint
