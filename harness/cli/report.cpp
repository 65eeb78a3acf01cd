// `report`: records, wherever they were made, as a table, an HTML page or in a format of another tool, at the prices of any book.
#include "harness/report/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/report_beside.hpp"
#include "harness/cli/runs.hpp"

namespace chokepoint {
namespace {

struct ReportFlags {
  std::vector<std::string> paths, metrics;
  bool skip_unreadable = false;
  std::string format, output, prices;
  BesideFlags beside;
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

// What only some formats show must not be asked of the others in vain.
void require_place_for_beside(const BesideFlags& flags, const std::string& format) {
  if (find_format(format).shows_beside || (flags.history.empty() && flags.claims.empty())) return;
  throw Error(Fault::config,
              fmt::format("{} is not shown in format {}", flags.history.empty() ? "--claims" : "--history", format),
              "write a page: -o report.html");
}

void report(const ReportFlags& flags, Session& session) {
  const std::string format = format_of(flags, session);
  require_place_for_beside(flags.beside, format);
  const std::optional<std::string> choice = flags.prices.empty() ? std::nullopt : std::optional(flags.prices);
  ReportInput input = make_report(read_records(flags.paths, {.skip_unreadable = flags.skip_unreadable}),
                                  {load_price_books(session.configs), choice});
  keep_metrics(flags.metrics, input);
  if (find_format(format).shows_beside) input.beside = beside_of(flags.beside, input.set, session.configs);
  const std::string text = find_format(format).render(input, style_of(STDOUT_FILENO));
  if (flags.output.empty())
    fmt::print("{}", text);
  else
    replace_file(flags.output, text);
  // What is intact has been shown; that something is missing has to be an error all the same.
  if (tell_missing(input.set, flags.skip_unreadable)) session.exit_code = kUsage;
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
       app.add_option("--metric", flags->metrics, "only these metrics (`list metrics`), for a tool that tracks a few")
           ->delimiter(',')
           ->option_text("NAME,..");
       app.add_flag("--skip-unreadable", flags->skip_unreadable,
                    "use the records that can be read, and name the lines that cannot");
       app.add_option("--history", flags->beside.history,
                      "page only: what these cases took commit by commit, from the file of `history add`")
           ->option_text("FILE");
       app.add_option("--claims", flags->beside.claims,
                      "page only: published claims and their verdicts, ids or globs: '*' for all")
           ->allow_extra_args(false)
           ->option_text("ID");
       app.callback([flags, &session] { report(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
