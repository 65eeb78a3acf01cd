// Is a page what we meant to write? A strict reader of our own subset of HTML: known elements and attributes alone,
// all closed, all quoted, no text that could be taken for markup.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint::test {

struct Page {
  std::vector<std::string> tags;        // "<td", "</td" in order
  std::vector<std::string> attributes;  // "href=#notes"
  std::string fault;                    // the first one, empty when there is none
};

namespace markup {

inline const std::set<std::string> kElements = {
    "html",   "head",     "meta",   "title",      "style",   "body",  "p",       "a",     "main",     "section",
    "h1",     "h2",       "h3",     "strong",     "div",     "table", "caption", "thead", "tbody",    "tr",
    "th",     "td",       "span",   "details",    "summary", "nav",   "ul",      "li",    "form",     "input",
    "button", "noscript", "figure", "figcaption", "svg",     "desc",  "g",       "line",  "polyline", "polygon",
    "rect",   "circle",   "path",   "text",       "dl",      "dt",    "dd",      "script"};
inline const std::set<std::string> kAttributes = {
    "lang",        "charset",   "http-equiv", "content",    "name",
    "class",       "href",      "id",         "aria-label", "aria-labelledby",
    "aria-hidden", "aria-live", "role",       "tabindex",   "scope",
    "data-v",      "data-hook", "style",      "open",       "type",
    "min",         "max",       "step",       "value",      "placeholder",
    "viewBox",     "x",         "y",          "x1",         "x2",
    "y1",          "y2",        "cx",         "cy",         "r",
    "d",           "points",    "width",      "height",     "text-anchor"};

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-'; }

// Text between tags or in quotes: entities of ours alone.
inline std::string text_fault(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 && c != '\n') return "a control character";
    if (text[i] == '<' || text[i] == '"') return "a bare < or quote";
    if (text[i] != '&') continue;
    bool is_known = false;
    for (const std::string_view entity : {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;", "&#215;"})
      is_known = is_known || text.substr(i).starts_with(entity);
    if (!is_known) return "a bare &";
  }
  return "";
}

}  // namespace markup

inline Page read_page(std::string_view html) {
  Page page;
  std::vector<std::string> open;
  const std::string_view start = "<!doctype html>\n";
  if (!html.starts_with(start)) return {.tags = {}, .attributes = {}, .fault = "no doctype"};
  std::size_t at = start.size();
  const auto fail = [&](const std::string& what) {
    if (page.fault.empty()) page.fault = fmt::format("{} at {}: {}", what, at, html.substr(at, 120));
  };
  while (at < html.size() && page.fault.empty()) {
    const bool is_raw = !open.empty() && (open.back() == "style" || open.back() == "script");
    const std::size_t next =
        is_raw ? html.find("</" + open.back() + ">", at) : std::min(html.find('<', at), html.size());
    if (next == std::string_view::npos) fail("not closed");
    const std::string_view text = html.substr(at, next - at);
    if (!is_raw)
      if (const std::string fault = markup::text_fault(text);
          !fault.empty() && fault.find("quote") == std::string::npos)
        fail(fault);
    at = next;
    if (at >= html.size() || !page.fault.empty()) break;
    const bool is_end = html.substr(at).starts_with("</");
    std::size_t end = at + (is_end ? 2 : 1);
    std::string name;
    while (end < html.size() && markup::is_word(html[end])) name += html[end++];
    if (!markup::kElements.contains(name)) fail("unknown element " + name);
    page.tags.push_back((is_end ? "</" : "<") + name);
    while (page.fault.empty() && end < html.size() && html[end] == ' ') {
      std::string attribute;
      ++end;
      while (end < html.size() && markup::is_word(html[end])) attribute += html[end++];
      if (!markup::kAttributes.contains(attribute)) fail("unknown attribute " + attribute);
      if (!html.substr(end).starts_with("=\"")) fail("an attribute without quotes: " + attribute);
      const std::size_t close = html.find('"', end + 2);
      if (close == std::string_view::npos) fail("an open quote");
      const std::string value(html.substr(end + 2, close - end - 2));
      if (const std::string fault = markup::text_fault(value); !fault.empty()) fail(fault);
      if (attribute == "href" && !value.starts_with("#")) fail("a link that leaves the page");
      page.attributes.push_back(attribute + "=" + value);
      end = close + 1;
    }
    const bool is_void = html.substr(end).starts_with("/>");
    if (!is_void && (end >= html.size() || html[end] != '>')) fail("a tag that does not end");
    if (is_end && (open.empty() || open.back() != name)) fail("closes what is not open: " + name);
    if (is_end && !open.empty()) open.pop_back();
    if (!is_end && !is_void) open.push_back(name);
    at = end + (is_void ? 2 : 1);
  }
  if (page.fault.empty() && !open.empty()) page.fault = "never closed: " + open.back();
  return page;
}

}  // namespace chokepoint::test
