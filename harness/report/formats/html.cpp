// How does a report look in a browser? One file that needs nothing else: the answer first, then what other prices
// would change, then pictures with the tables behind them, the records, and what to doubt.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "harness/base/strings.hpp"
#include "harness/report/html/answer.hpp"
#include "harness/report/html/assets.hpp"
#include "harness/report/html/picture.hpp"
#include "harness/report/html/what_if.hpp"
#include "harness/report/notes.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

// RFC 4648, section 4, of the bytes that these hexadecimal digits stand for.
std::string base64_of_hex(const std::string& hex) {
  static constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char digit : hex) {
    bits = bits << 4 | static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    count += 4;
    if (count < 6) continue;
    count -= 6;
    out += letters[bits >> count & 63U];
  }
  if (count > 0) out += letters[bits << (6 - count) & 63U];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

// Nothing is fetched, and no script runs but ours: a text that got past the escaping would still do nothing.
std::string policy() {
  return fmt::format(
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
      base64_of_hex(sha256_hex(kPageScript)));
}

std::string head(const std::string& title) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n<meta "
      "http-equiv=\"Content-Security-Policy\" content=\"{}\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" "
      "content=\"light dark\"/>\n"
      "<title>{}</title>\n<style>{}</style></head>\n<body>\n",
      policy(), escaped_markup(title), kPageStyle);
}

struct PlacedPicture {
  const Picture* picture = nullptr;
  DrawnPicture drawn;
};

std::vector<PlacedPicture> pictures_of(const PictureInput& input) {
  std::vector<PlacedPicture> all;
  for (const Picture& picture : Registry<Picture>::instance().all()) all.push_back({&picture, picture.draw(input)});
  std::sort(all.begin(), all.end(), [](const PlacedPicture& a, const PlacedPicture& b) {
    return std::tie(a.picture->place, a.picture->name) < std::tie(b.picture->place, b.picture->name);
  });
  return all;
}

std::string contents(const std::vector<PlacedPicture>& pictures, bool has_what_if) {
  std::string out = "<nav aria-label=\"Contents\"><ul>";
  const auto item = [&](const std::string& id, const std::string& text) {
    out += fmt::format("<li><a href=\"#{}\">{}</a></li>", id, escaped_markup(text));
  };
  if (has_what_if) item("what-if", "What if prices were others?");
  for (const auto& [picture, drawn] : pictures)
    if (!drawn.panels.empty()) item(picture->name, picture->title);
  item("records", "Records");
  item("notes", "Notes and doubts");
  item("origin", "Where this comes from");
  return out + "</ul></nav>\n";
}

// The pictures, then why some are missing.
std::string picture_sections(const std::vector<PlacedPicture>& pictures) {
  std::string out, missing;
  for (const auto& [picture, drawn] : pictures) {
    if (!drawn.panels.empty())
      out += picture_markup(*picture, drawn);
    else
      missing += fmt::format("<li>{}: {}</li>\n", escaped_markup(picture->title), escaped_markup(drawn.left_out));
  }
  if (missing.empty()) return out;
  return out + fmt::format(
                   "<section id=\"left-out\" aria-labelledby=\"left-out-h\"><h2 id=\"left-out-h\">Pictures these "
                   "records are not "
                   "enough for</h2>\n<ul>\n{}</ul></section>\n",
                   missing);
}

DataTable records_of(const PictureInput& input, const ReportGroup& group) {
  DataTable table{{{"case"}}, {}};
  const std::vector<Column> columns = columns_of(group);
  std::vector<bool> is_used(columns.size(), false);
  std::vector<std::pair<std::size_t, std::vector<Cell>>> rows;
  std::vector<std::string> titles;
  for (const ReportCase& one : group.cases)
    for (const std::size_t i : one.records) {
      rows.emplace_back(i, cells_of(group, input.report, i));
      titles.push_back(one.title.empty() ? group.operation : one.title);
      for (std::size_t c = 0; c < columns.size(); ++c)
        is_used[c] = is_used[c] || !rows.back().second[c].forms.empty();
    }
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (is_used[c]) table.columns.push_back({columns[c].title, columns[c].align == Align::right});
  table.columns.push_back({"source"});
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::vector<DataCell> cells = {{.text = titles[r]}};
    const Record& record = input.report.set.records[rows[r].first];
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (!is_used[c]) continue;
      DataCell cell{.text = rows[r].second[c].forms.empty() ? "" : rows[r].second[c].forms.front()};
      if (columns[c].title == "time") cell.sort = record.target_time_s();
      cells.push_back(cell);
    }
    const Place& place = input.report.set.places[rows[r].first];
    cells.push_back({.text = fmt::format("{}:{}", place.file, place.line)});
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string records(const PictureInput& input) {
  std::string out = "<section id=\"records\" aria-labelledby=\"records-h\"><h2 id=\"records-h\">Records</h2>\n";
  for (const ReportGroup& group : input.groups) {
    out += fmt::format("<h3>{}</h3>\n", escaped_markup(group.operation));
    if (!group.common.empty()) out += fmt::format("<p class=\"small-print\">{}</p>\n", escaped_markup(group.common));
    if (!group.energy_basis.empty())
      out += fmt::format("<p class=\"small-print\">Energy is {}.</p>\n", escaped_markup(group.energy_basis));
    out += table_markup(records_of(input, group), "Records of " + group.operation);
  }
  return out + "</section>\n";
}

std::string notes(const ReportInput& input) {
  std::string out =
      "<section id=\"notes\" aria-labelledby=\"notes-h\"><h2 id=\"notes-h\">Notes and doubts</h2>\n<ul>\n";
  for (const std::string& note : notes_of(input)) out += fmt::format("<li>{}</li>\n", escaped_markup(note));
  return out + "</ul></section>\n";
}

std::string origin(const ReportInput& input) {
  std::string out =
      "<section id=\"origin\" aria-labelledby=\"origin-h\"><h2 id=\"origin-h\">Where this comes from</h2>\n<dl>\n";
  for (const HeaderLine& line : header_of(input))
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped_markup(line.label), escaped_markup(line.text));
  return out + "</dl></section>\n";
}

std::string render_html(const ReportInput& report, const Style&) {
  const std::vector<ReportGroup> groups = groups_of(report);
  const PictureInput input{report, groups};
  const PageAnswer answer = answer_of(input);
  const std::string what_if = what_if_markup(input);
  const std::vector<PlacedPicture> pictures = pictures_of(input);
  std::string out = head(answer.headline + " - chokepoint");
  out += "<p class=\"skip\"><a href=\"#records\">Skip to the tables</a></p>\n<main>\n";
  out += answer_markup(answer) + contents(pictures, !what_if.empty()) + what_if + picture_sections(pictures);
  out += records(input) + notes(report) + origin(report);
  out += fmt::format(
      "</main>\n<script type=\"application/json\" id=\"data\">{}</script>\n<script>{}</script>\n</body></html>\n",
      what_if_data(input), kPageScript);
  return out;
}

const Register<Format> html_format{{.name = "html",
                                    .summary = "one file for a browser: answer, pictures, tables; needs no network",
                                    .ending = ".html",
                                    .shows_beside = true,
                                    .render = render_html}};

}  // namespace
}  // namespace chokepoint
