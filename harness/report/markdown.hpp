// How does text of any origin stand in Markdown as text, and as nothing else?
#pragma once

#include <string>
#include <string_view>

namespace chokepoint {

// Nothing in it is markup, a link, a tag or the end of a cell (GitHub Flavored Markdown, section 2.4: every
// ASCII punctuation may be escaped). A name's underscores and an interval's brackets stay readable.
std::string markdown_escaped(std::string_view text);

}  // namespace chokepoint
