// The style sheet and the script of the page: ours, inline, and the only ones the page allows.
#pragma once

#include <string_view>

namespace chokepoint {

extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;  // tooltips, sorting, what-if; the page is whole without it

}  // namespace chokepoint
