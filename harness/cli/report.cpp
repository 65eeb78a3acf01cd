// `report`: records, wherever they were made, as a table, an HTML page or in a format of another tool, at the prices of any book.
#include "harness/report/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"

namespace chokepoint {
namespace {

struct ReportFlags {
  std::vector<std::string> paths;
  std::string format, output, prices;
};

// What the user names, else what the file's ending says, else a table.
std::string format_of(const ReportFlags& flags, const Session& session) {
  if (session.json) return "json";
  if (!flags.format.empty()) return flags.format;
  const Format* format = format_of_file(flags.output);
  return format ? format->name : "table";
}

std::string known_formats() {
  std::vector<std::string> names;
  for (const Format& format : Registry<Format>::instance().all()) names.push_back(format.name);
  std::sort(names.begin(), names.end());
  return joined(names, ", ");
}

void report(const ReportFlags& flags, Session& session) {
  RecordSet set = read_records(flags.paths);
  const std::vector<Place> cut = set.cut_lines;
  const std::optional<std::string> choice = flags.prices.empty() ? std::nullopt : std::optional(flags.prices);
  const std::string text =
      render_report(format_of(flags, session), std::move(set),
                    {load_price_books(session.configs), choice}, style_of(STDOUT_FILENO));
  if (flags.output.empty())
    fmt::print("{}", text);
  else
    replace_file(flags.output, text);
  // What is intact has been shown; that something is missing has to be an error all the same.
  for (const Place& place : cut)
    fmt::print(stderr,
               "error: {}:{}: the record ends too soon (a crash or a full disk); all others are shown\n"
               "  fix: finish that run with `chokepoint run SUITE --out DIR --resume`\n",
               place.file, place.line);
  if (!cut.empty()) session.exit_code = kUsage;
}

const Register<Command> report_command{
    {.name = "report",
     .place = 6,
     .summary = "show records as a table, an HTML page or for another tool",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<ReportFlags>();
       app.add_option("paths", flags->paths, "folders with records.jsonl, or such files")
           ->required()
           ->option_text("DIR..");
       app.add_option("--format", flags->format, known_formats() + " (default: as the file's ending says, else table)")
           ->option_text("NAME");
       app.add_option("-o,--output", flags->output, "file to write instead of stdout")->option_text("FILE");
       app.add_option("--prices", flags->prices,
                      "price book, e.g. 2025-02_deepseek (default: the newest market)")
           ->option_text("BOOK");
       app.callback([flags, &session] { report(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
