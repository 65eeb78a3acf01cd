// What is a picture of the HTML report? A file in harness/report/pictures/ that turns records into panels: a drawing,
// how it was obtained, and the table behind it; or into the reason why there is none.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/registry.hpp"
#include "harness/report/html/canvas.hpp"
#include "harness/report/html/markup.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"

namespace chokepoint {

struct Panel {
  std::string title;  // "link, bf16, NVIDIA H100 80GB HBM3"
  std::string svg;
  std::vector<std::string> captions;  // one sentence each; the last one is credentials_of
  DataTable table;
};

struct DrawnPicture {
  std::vector<Panel> panels;
  std::string left_out;  // why nothing is drawn, or what is missing from it
  std::optional<DataTable> below = std::nullopt;  // open and as wide as the page, where the table is the point
};

struct PictureInput {
  const ReportInput& report;
  const std::vector<ReportGroup>& groups;
};

struct Picture {
  std::string name;
  int place = 0;  // on the page, from the top
  std::string title;
  std::string how_to_read;  // what the axes are and which side is better
  std::function<DrawnPicture(const PictureInput&)> draw;
};

// A picture has at most so many panels and a panel so many rows or series; what is beyond is said in `left_out` or a
// caption, and stands in the tables.
inline constexpr std::size_t kMostPanels = 8;
inline constexpr std::size_t kMostRows = 48;
inline constexpr std::size_t kMostSeries = 12;

// "basis emulated; n 18 to 640 samples; intervals 95 % ...; source: results/x/records.jsonl": what every figure
// carries.
std::string credentials_of(const ReportInput& input, const std::vector<std::size_t>& records,
                           const std::string& intervals);

// "n 640 (ESS 48), results/x/records.jsonl:12": of one point.
std::string source_of(const ReportInput& input, std::size_t record);

// "a, b, c and 9 more": targets or reasons that all share something.
std::string listed(const std::vector<std::string>& words);

// The targets that have no price, by reason: "h800-sxm: no market quote found ...". One sentence each.
std::vector<std::string> price_absences(const ReportInput& input, const std::vector<std::string>& targets);

// "149 [148.8, 149.4] TFLOP/s"; without an interval "149 [no interval] TFLOP/s".
std::string figure_text(double value, std::optional<double> low, std::optional<double> high, std::string_view unit);
std::string figure_text(const MetricValue& metric);

std::string basis_text(const Record& record);   // "emulated"; of a record without one, its status
std::string device_name(const Record& record);  // "NVIDIA H100 80GB HBM3"; its kind where it has no name

// "moe_layer deepseek-v3/moe tokens=128": operation, label and what differs from the other cases of this label; with
// the kernel where a group has several. Indexed by record.
std::vector<std::string> case_names(const ReportInput& input, const std::vector<ReportGroup>& groups);

// The section of the page; only for what has panels.
std::string picture_markup(const Picture& picture, const DrawnPicture& drawn);

}  // namespace chokepoint
