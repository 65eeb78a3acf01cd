// How does a CI show our records among its tests? JUnit XML: one suite per operation, one test case per record;
// invalid is a failure, failed an error, skipped and unsupported are skips with their reasons.
#include <fmt/format.h>

#include <string>

#include "harness/report/export.hpp"
#include "harness/report/html/markup.hpp"
#include "harness/report/rows.hpp"

namespace chokepoint {
namespace {

// What XML 1.0 cannot hold at all (2.2, Char) and `escaped_markup` leaves: U+FFFE and U+FFFF.
std::string xml(std::string_view text) {
  std::string out = escaped_markup(text);
  for (const std::string_view bad : {"\xef\xbf\xbe", "\xef\xbf\xbf"})
    for (std::size_t at = out.find(bad); at != std::string::npos; at = out.find(bad))
      out.replace(at, bad.size(), "?");
  return out;
}

struct Counts {
  std::size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double time_s = 0.0;
  void add(const Record& record) {
    ++tests;
    failures += record.status == Status::invalid ? 1 : 0;
    errors += record.status == Status::failed ? 1 : 0;
    skipped += record.status == Status::skipped || record.status == Status::unsupported ? 1 : 0;
    time_s += record.time.window_s;
  }
  std::string text() const {
    return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.6f}\"", tests, failures,
                       errors, skipped, time_s);
  }
};

std::string outcome(const Record& record) {
  const std::string reason = xml(record.reason.empty() ? "no reason recorded" : record.reason);
  switch (record.status) {
    case Status::invalid:
      return fmt::format("      <failure type=\"invalid\" message=\"{0}\">{0}</failure>\n", reason);
    case Status::failed:
      return fmt::format("      <error type=\"failed\" message=\"{0}\">{0}</error>\n", reason);
    case Status::skipped:
    case Status::unsupported:
      return fmt::format("      <skipped type=\"{}\" message=\"{}\"/>\n", to_string(record.status), reason);
    default:
      return "";
  }
}

std::string figures(const ReportInput& input, std::size_t index) {
  std::string lines;
  for (const ExportedMetric& metric : exported_metrics())
    if (const MetricValue* value = exported_value(input.rows[index], metric.name))
      lines += xml(fmt::format("{} {:.6g} {}, {}", metric.name, value->value, value->unit,
                               export_remark(input.set.records[index], *value))) +
               '\n';
  return lines.empty() ? "" : fmt::format("      <system-out>{}</system-out>\n", lines);
}

std::string suite(const ReportInput& input, const ReportGroup& group, const std::vector<std::string>& names,
                  Counts& all) {
  Counts counts;
  std::string cases;
  for (const ReportCase& one : group.cases)
    for (const std::size_t i : one.records) {
      const Record& record = input.set.records[i];
      counts.add(record);
      all.add(record);
      cases += fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"{:.6f}\">\n{}{}    </testcase>\n",
                           xml(names[i]), xml("chokepoint." + group.operation), record.time.window_s, outcome(record),
                           figures(input, i));
    }
  return fmt::format("  <testsuite name=\"{}\" {}>\n{}  </testsuite>\n", xml(group.operation), counts.text(), cases);
}

std::string render_junit(const ReportInput& input, const Style&) {
  const std::vector<std::string> names = export_names(input);
  Counts all;
  std::string suites;
  for (const ReportGroup& group : groups_of(input)) suites += suite(input, group, names, all);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chokepoint\" {}>\n{}</testsuites>\n",
      all.text(), suites);
}

const Register<Format> junit_format{
    {.name = "junit",
     .summary = "JUnit XML: a test case per record, invalid and failed ones with their reasons",
     .ending = ".xml",
     .render = render_junit}};

}  // namespace
}  // namespace chokepoint
