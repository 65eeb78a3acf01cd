// How wide is a text on a terminal, and how is text of unknown origin made harmless there?
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

// Columns a terminal uses for this UTF-8 text: 2 for East Asian wide characters and emoji, 0 for combining marks.
// A byte that is not UTF-8 counts as one column.
int display_width(std::string_view text);

// Without control characters, escape sequences, direction overrides and invalid UTF-8: line breaks and tabs become a
// space, the rest of them `?`. With `unicode` off, every character beyond ASCII becomes a near ASCII one or `?`.
std::string printable(std::string_view text, bool unicode = true);

// As text in Markdown, printable: nothing in it is markup, a link, a tag or the end of a cell (GitHub Flavored Markdown,
// section 2.4: every ASCII punctuation may be escaped). A name's underscores and an interval's brackets stay readable.
std::string markdown_text(std::string_view text);

// At most `width` columns; what is cut out of the middle becomes an ellipsis and the last `tail` columns stay (all of
// `width` when `tail` is that large).
std::string shortened(std::string_view text, int width, bool unicode, int tail = 0);

std::string padded_left(std::string_view text, int width);   // text to the right
std::string padded_right(std::string_view text, int width);  // text to the left

// Lines of at most `width` columns, broken at spaces, though not inside [..., ...] nor between a number and its unit; a
// word longer than a line is broken where the line ends. The first line starts with `first`, the others with as many
// spaces.
std::vector<std::string> wrapped(std::string_view text, int width, std::string_view first = "");

}  // namespace chokepoint
