// `history`: what cases took, run after run and commit after commit, and where that changed.
#include "harness/track/history.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/compare_text.hpp"
#include "harness/cli/history_text.hpp"
#include "harness/cli/runs.hpp"

namespace chokepoint {
namespace {

struct HistoryFlags {
  std::string database = "chokepoint-history.sqlite", wait = "30s";
  std::vector<std::string> paths;
  std::string commit, name, filter = "*", margin = "2%";
  bool skip_unreadable = false;
};

std::unique_ptr<History> open(const HistoryFlags& flags, bool may_create) {
  return open_history(flags.database, {.may_create = may_create, .wait_s = parse_duration_s(flags.wait)});
}

// Everything is read before the database is touched: a line that cannot be read leaves it as it was.
std::vector<HistoryRun> runs_in(const HistoryFlags& flags) {
  const std::optional<std::string> commit = flags.commit.empty() ? std::nullopt : std::optional(flags.commit);
  std::vector<std::vector<HistoryRun>> parts(flags.paths.size());
  std::vector<RunSet> read(flags.paths.size());
  parallel_for(static_cast<std::int64_t>(flags.paths.size()), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      read[i] = read_runs(flags.paths[i], flags.skip_unreadable);
      for (const RunRecords& run : read[i].runs) parts[i].push_back(history_run(run, commit));
      read[i].runs.clear();  // samples are large
    }
  });
  std::vector<HistoryRun> runs;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    tell_unreadable(read[i]);
    for (HistoryRun& run : parts[i]) runs.push_back(std::move(run));
  }
  return runs;
}

void add(const HistoryFlags& flags, const Session& session) {
  const std::vector<HistoryRun> runs = runs_in(flags);
  const ImportCounts counts = open(flags, true)->add(runs);
  if (session.json)
    return print_json({{"schema", "chokepoint/history_add/1"},
                       {"db", flags.database},
                       {"new_runs", counts.runs},
                       {"new_results", counts.results},
                       {"newer_attempts", counts.newer_attempts},
                       {"known_runs", counts.known_runs},
                       {"known_results", counts.known_results}});
  fmt::print("{}: {} runs with {} results are new, {} are later attempts; {} runs and {} results were there already\n",
             flags.database, counts.runs, counts.results, counts.newer_attempts, counts.known_runs,
             counts.known_results);
}

// By id, by name without digest, or by glob.
std::vector<std::string> matching_cases(History& history, const std::string& history_file, const std::string& name) {
  const std::vector<std::string> known = history.case_ids();
  std::vector<std::string> found;
  for (const std::string& id : known)
    if (id == name || short_name(id) == name || glob_matches(name, id) || glob_matches(name, short_name(id)))
      found.push_back(id);
  if (!found.empty()) return found;
  const std::string nearest = nearest_word(name, known);
  throw Error(Fault::config,
              fmt::format("none of the {} cases in {} is called \"{}\"", known.size(), history_file, name),
              known.empty()     ? "add runs with `chokepoint history add DIR`"
              : nearest.empty() ? "`chokepoint history show '*'` shows all"
                                : fmt::format("did you mean \"{}\"?", nearest));
}

std::vector<AnalysedSeries> analysed(History& history, const std::vector<std::string>& ids) {
  std::vector<HistorySeries> series;
  for (const std::string& id : ids)
    for (HistorySeries& one : history.series_of(id)) series.push_back(std::move(one));
  std::vector<AnalysedSeries> result(series.size());
  parallel_for(static_cast<std::int64_t>(series.size()), 8, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      result[i] = analyse(std::move(series[i]));
  });
  return result;
}

Json document(const HistoryFlags& flags, const std::vector<AnalysedSeries>& all) {
  Json series = Json::array();
  for (const AnalysedSeries& one : all) series.push_back(series_json(one));
  return {{"schema", "chokepoint/history/1"}, {"db", flags.database}, {"series", series}};
}

void show(const HistoryFlags& flags, const Session& session) {
  const std::unique_ptr<History> history = open(flags, false);
  const std::vector<AnalysedSeries> all = analysed(*history, matching_cases(*history, flags.database, flags.name));
  if (session.json) return print_json(document(flags, all));
  for (std::size_t i = 0; i < all.size(); ++i)
    fmt::print("{}{}", i > 0 ? "\n" : "", render_series(all[i], style_of(STDOUT_FILENO)));
}

void detect(const HistoryFlags& flags, const Session& session) {
  const double margin = parse_share(flags.margin);
  const std::unique_ptr<History> history = open(flags, false);
  const std::vector<AnalysedSeries> all = analysed(*history, matching_cases(*history, flags.database, flags.filter));
  if (session.json) return print_json(document(flags, all));
  fmt::print("{}", render_changes(all, margin, style_of(STDOUT_FILENO)));
}

void add_database_flags(CLI::App& app, HistoryFlags& flags) {
  app.add_option("--db", flags.database, "the history's file (default chokepoint-history.sqlite)")
      ->envname("CHOKEPOINT_HISTORY")
      ->option_text("FILE");
  app.add_option("--wait", flags.wait, "for another writer (default 30s)")->option_text("TIME");
}

// Each has flags of its own: a variable that several share would be set by the environment for those not called.
void declare_add(CLI::App& parent, Session& session) {
  auto flags = std::make_shared<HistoryFlags>();
  CLI::App* app =
      parent.add_subcommand("add", "add runs: all of them or, when one cannot be read, none; twice is once");
  app->add_option("paths", flags->paths, "folders with records.jsonl, such files, or folders of such folders")
      ->required()
      ->option_text("DIR..");
  app->add_option("--commit", flags->commit, "what was measured, instead of the commit chokepoint was built from")
      ->option_text("SHA");
  app->add_flag("--skip-unreadable", flags->skip_unreadable,
                "use the records that can be read, and name the lines that cannot");
  add_database_flags(*app, *flags);
  app->callback([flags, &session] { add(*flags, session); });
}

void declare_show(CLI::App& parent, Session& session) {
  auto flags = std::make_shared<HistoryFlags>();
  CLI::App* app = parent.add_subcommand("show", "every run of a case, with changes of level, spikes and drifts");
  app->add_option("case", flags->name, "case_id, with or without its digest, or a glob")
      ->required()
      ->option_text("CASE");
  add_database_flags(*app, *flags);
  app->callback([flags, &session] { show(*flags, session); });
}

void declare_detect(CLI::App& parent, Session& session) {
  auto flags = std::make_shared<HistoryFlags>();
  CLI::App* app =
      parent.add_subcommand("detect", "changes of level in all series; a spike is none, a drift is called one");
  app->add_option("--filter", flags->filter, "only cases whose name matches")->option_text("GLOB");
  app->add_option("--margin", flags->margin, "smaller changes are counted, not listed (default 2%)")
      ->option_text("SHARE");
  add_database_flags(*app, *flags);
  app->callback([flags, &session] { detect(*flags, session); });
}

const Register<Command> history_command{{.name = "history",
                                         .place = 6,
                                         .summary = "what cases took from commit to commit, and where that changed",
                                         .add = [](CLI::App& app, Session& session) {
                                           app.require_subcommand(1);
                                           declare_add(app, session);
                                           declare_show(app, session);
                                           declare_detect(app, session);
                                         }}};

}  // namespace
}  // namespace chokepoint
