// How wide, how colourful and in which characters may a report be? Decided once, from the terminal and the environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace chokepoint {

struct Style {
  int width = 80;
  bool color = false;
  bool unicode = true;
};

inline constexpr int kLeastWidth = 40;    // below that nothing can be said
inline constexpr int kMostWidth = 400;
inline constexpr int kTerminalWidth = 80;  // of a terminal that does not tell
inline constexpr int kFileWidth = 120;     // of output that goes to a file or a pipe

// The variables of the environment; absent when not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;

// Width: COLUMNS, else the terminal's, else 80 on a terminal and 120 off it. Colour: never with NO_COLOR (any text);
// with CLICOLOR_FORCE (any text but "0") otherwise always; else on a terminal that is not TERM=dumb and outside CI.
// Characters beyond ASCII: when the locale (LC_ALL, else LC_CTYPE, else LANG) is UTF-8.
Style decide_style(bool is_terminal, std::optional<int> terminal_columns, const Environment& environment);

// The same for a descriptor of this process: 1 is standard output.
Style style_of(int descriptor);

}  // namespace chokepoint
