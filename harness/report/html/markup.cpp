#include "harness/report/html/markup.hpp"

#include <fmt/format.h>

#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

std::string cell_markup(const DataCell& cell, bool is_number, bool is_row_header) {
  std::string attributes;
  if (is_row_header) attributes += " scope=\"row\"";
  if (is_number) attributes += " class=\"n\"";
  if (cell.sort) attributes += fmt::format(" data-v=\"{:.6g}\"", *cell.sort);
  if (!cell.hook.empty()) attributes += fmt::format(" data-hook=\"{}\"", escaped_markup(cell.hook));
  const char* name = is_row_header ? "th" : "td";
  return fmt::format("<{0}{1}>{2}{3}</{0}>", name, attributes, escaped_markup(cell.text), cell.mark_up);
}

}  // namespace

std::string escaped_markup(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string escaped_json(std::string json) {
  std::string out;
  for (const char c : json) {
    if (c == '<' || c == '>' || c == '&')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

std::string table_markup(const DataTable& table, std::string_view name) {
  std::string out = fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\"><table class=\"sortable\">"
      "<caption>{0}</caption>\n<thead><tr>",
      escaped_markup(name));
  for (const DataColumn& column : table.columns)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", column.is_number ? " class=\"n\"" : "",
                       escaped_markup(column.title));
  out += "</tr></thead>\n<tbody>\n";
  for (const std::vector<DataCell>& row : table.rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) out += cell_markup(row[i], table.columns[i].is_number, i == 0);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace chokepoint
