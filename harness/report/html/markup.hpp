// How is text of any origin put into a page without becoming markup, and how are tables written?
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

// Safe between tags and inside double quotes; without control characters, direction overrides and invalid UTF-8.
std::string escaped_markup(std::string_view text);

// A JSON text as it may stand inside <script>: no `<` is left that could end it.
std::string escaped_json(std::string json);

struct DataCell {
  std::string text;            // of any origin
  std::optional<double> sort;  // what the column is sorted by; absent: by text
  std::string mark_up;         // ours, after the text
  std::string hook;            // ours: what the page's script finds this cell by
};

struct DataColumn {
  std::string title;
  bool is_number = false;
};

struct DataTable {
  std::vector<DataColumn> columns;  // the first one names the row
  std::vector<std::vector<DataCell>> rows;
};

// A table in a box that scrolls sideways and can be focused for that; `name` says what it holds.
std::string table_markup(const DataTable& table, std::string_view name);

}  // namespace chokepoint
