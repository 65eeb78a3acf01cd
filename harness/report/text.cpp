#include "harness/report/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace chokepoint {
namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// The character at the start of `text`, which is not empty. Overlong forms, surrogates and codes beyond U+10FFFF are
// invalid and one byte long (RFC 3629).
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
  if (bytes == 0 || lead > 0xf4 || bytes > text.size()) return {};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, bytes, true};
}

using Range = std::pair<std::uint32_t, std::uint32_t>;

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, std::uint32_t code) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return range.first <= code && code <= range.second; });
}

// Combining marks, joiners and variation selectors (Unicode 15, the common ones).
constexpr std::array<Range, 9> kZeroWidth{{{0x0300, 0x036f},
                                           {0x0483, 0x0489},
                                           {0x0591, 0x05bd},
                                           {0x1ab0, 0x1aff},
                                           {0x1dc0, 0x1dff},
                                           {0x200b, 0x200d},
                                           {0x20d0, 0x20ff},
                                           {0xfe00, 0xfe0f},
                                           {0xfe20, 0xfe2f}}};
// East Asian Width W and F (UAX #11), and emoji.
constexpr std::array<Range, 11> kDoubleWidth{{{0x1100, 0x115f},
                                              {0x2e80, 0x303e},
                                              {0x3041, 0xa4cf},
                                              {0xac00, 0xd7a3},
                                              {0xf900, 0xfaff},
                                              {0xfe30, 0xfe6f},
                                              {0xff00, 0xff60},
                                              {0xffe0, 0xffe6},
                                              {0x1f300, 0x1f64f},
                                              {0x1f680, 0x1f9ff},
                                              {0x20000, 0x3fffd}}};
// What changes the direction or order of what follows, or hides: a way to make one text look like another.
constexpr std::array<Range, 6> kMisleading{{{0x061c, 0x061c},
                                            {0x200b, 0x200f},
                                            {0x2028, 0x202e},
                                            {0x2060, 0x206f},
                                            {0xfeff, 0xfeff},
                                            {0xe0000, 0xe007f}}};

int width_of(const Character& character) {
  if (!character.valid) return 1;
  return is_in(kZeroWidth, character.code) ? 0 : is_in(kDoubleWidth, character.code) ? 2 : 1;
}

std::string_view ascii_for(std::uint32_t code) {
  switch (code) {
    case 0x00b1: return "+-";
    case 0x00b5:
    case 0x03bc: return "u";
    case 0x00d7: return "x";
    case 0x2013:
    case 0x2014:
    case 0x2212:
    case 0x2500: return "-";
    case 0x2018:
    case 0x2019: return "'";
    case 0x201c:
    case 0x201d: return "\"";
    case 0x2026: return "...";
    default: return "?";
  }
}

// The longest start of `text` that fits, and the longest end.
std::string_view start_of(std::string_view text, int width) {
  std::size_t end = 0;
  for (int used = 0; end < text.size();) {
    const Character character = first_character(text.substr(end));
    used += width_of(character);
    if (used > width) break;
    end += character.bytes;
  }
  return text.substr(0, end);
}

std::string_view end_of(std::string_view text, int width) {
  while (display_width(text) > width) text.remove_prefix(first_character(text).bytes);
  return text;
}

// The next word: up to a space that may become a line break. "[1.35, 1.39]" and a number with what it counts
// ("0.40 %") stay together.
std::string_view next_word(std::string_view text) {
  constexpr std::size_t longest_bracket = 32;
  std::size_t end = 0;
  for (std::size_t start = 0;; start = end + 1) {
    end = text.find(' ', start);
    if (end == std::string_view::npos) return text;
    const std::string_view word = text.substr(0, end);
    const std::size_t open = word.rfind('[');
    const bool in_bracket = open != std::string_view::npos && word.find(']', open) == std::string_view::npos &&
                            text.find(']', end) < open + longest_bracket;
    const std::string_view part = text.substr(start, end - start);
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789.-") == std::string_view::npos &&
                           part.back() >= '0' && part.back() <= '9';
    if (!in_bracket && !is_number) return word;
  }
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    width += width_of(character);
    text.remove_prefix(character.bytes);
  }
  return width;
}

std::string printable(std::string_view text, bool unicode) {
  std::string clean;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::uint32_t code = character.code;
    if (character.valid && (code == '\n' || code == '\r' || code == '\t'))
      clean += ' ';
    else if (!character.valid || code < 0x20 || (code >= 0x7f && code < 0xa0) || is_in(kMisleading, code))
      clean += '?';
    else if (code >= 0x80 && !unicode)
      clean += ascii_for(code);
    else
      clean += text.substr(0, character.bytes);
    text.remove_prefix(character.bytes);
  }
  return clean;
}

std::string markdown_text(std::string_view text) {
  const std::string clean = printable(text);
  std::string out;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    const char c = clean[i];
    const auto is_word = [&](std::size_t at) { return at < clean.size() && std::isalnum(static_cast<unsigned char>(clean[at])); };
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

std::string shortened(std::string_view text, int width, bool unicode, int tail) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view ellipsis = unicode ? "…" : "...";
  const int room = width - display_width(ellipsis);
  if (room <= 0) return std::string(start_of(text, width));
  tail = std::min(tail, room);
  return std::string(start_of(text, room - tail)) + std::string(ellipsis) + std::string(end_of(text, tail));
}

std::string padded_left(std::string_view text, int width) {
  return std::string(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ') + std::string(text);
}

std::string padded_right(std::string_view text, int width) {
  return std::string(text) + std::string(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ');
}

std::vector<std::string> wrapped(std::string_view text, int width, std::string_view first) {
  const int indent = display_width(first);
  const int room = std::max(8, width - indent);
  std::vector<std::string> lines;
  std::string line;
  const auto emit = [&] {
    lines.push_back((lines.empty() ? std::string(first) : std::string(static_cast<std::size_t>(indent), ' ')) + line);
    line.clear();
  };
  while (!text.empty()) {
    std::string_view word = next_word(text);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    if (!line.empty() && display_width(line) + 1 + display_width(word) > room) emit();
    if (!line.empty()) line += ' ';
    while (line.empty() && display_width(word) > room) {
      line = start_of(word, room);
      word.remove_prefix(line.size());
      emit();
    }
    line += word;
  }
  if (!line.empty() || lines.empty()) emit();
  return lines;
}

}  // namespace chokepoint
