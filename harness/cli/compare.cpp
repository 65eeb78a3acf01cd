// `compare`: did cases become faster or slower between two sets of runs? A verdict per case, and an exit code for CI.
#include "harness/track/compare.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/compare_text.hpp"
#include "harness/cli/runs.hpp"
#include "harness/track/calibration.hpp"

namespace chokepoint {
namespace {

struct CompareFlags {
  std::vector<std::string> paths, allow;
  std::string margin = "2%", run_noise, noise, save, format = "table", output, markdown, junit;
  bool gate = false, strict = false, calibrate = false, all = false, skip_unreadable = false;
};

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0' && std::string_view(value) != "false";
}

CompareOptions compare_options_of(const CompareFlags& flags) {
  CompareOptions options;
  options.margin = parse_share(flags.margin);
  if (!flags.run_noise.empty()) options.run_deviation = parse_share(flags.run_noise);
  for (const std::string& names : flags.allow)
    for (const std::string& name : split(names, ',')) {
      require_condition_name(name);
      options.allowed.insert(name);
    }
  return options;
}

SideText side_text_of(const std::string& name, const RunSet& set) {
  std::set<std::string> commits;
  for (const RunRecords& run : set.runs)
    for (const Record& record : run.records)
      if (record.provenance.contains("git") && record.provenance["git"].is_string())
        commits.insert(record.provenance["git"].get<std::string>());
  return {name, set.runs.size(), commits.size() == 1 ? *commits.begin() : ""};
}

// GitHub's summary is added to, since other steps' commands write there too; any other file is written anew.
void write_markdown(const std::string& path, const ComparisonText& text) {
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary == nullptr || path != summary) return replace_file(path, render_markdown(text, kMostSummaryBytes));
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  const std::size_t taken = code ? 0 : static_cast<std::size_t>(size);
  const std::string page = render_markdown(text, kMostSummaryBytes - std::min(taken + 2, kMostSummaryBytes));
  if (page.empty())
    fmt::print(stderr, "warning: the step's summary already holds {} bytes of GitHub's {}: nothing added\n", taken,
               kMostSummaryBytes);
  else
    append_line(path, page);
}

void put(const std::string& output, const std::string& text) {
  if (output.empty())
    fmt::print("{}", text);
  else
    replace_file(output, text);
}

std::string rendered_comparison(const ComparisonText& text, const CompareFlags& flags, const Session& session) {
  if (session.json || flags.format == "json")
    return render_json(text).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  if (flags.format == "markdown") return render_markdown(text, kMostSummaryBytes);
  if (flags.format == "junit") return render_junit(text);
  return render_table(text, style_of(STDOUT_FILENO), flags.all);
}

std::string devices_in(const RunSet& set) {
  std::set<std::string> devices;
  for (const RunRecords& run : set.runs)
    for (const Record& record : run.records) devices.insert(conditions_of(record, Json()).at("device").text);
  return joined(std::vector(devices.begin(), devices.end()), " and ");
}

// Nothing compared is no comparison: the first obstacle, and how to lift it.
void require_something(const ComparisonReport& report, const RunSet& base, const RunSet& now) {
  if (report.count(CaseVerdict::not_comparable) < report.cases.size() || report.broken() > 0) return;
  for (const ConditionChange& change : report.changes)
    if (!change.is_allowed)
      throw Error(Fault::config,
                  fmt::format("no case can be compared: {} differs in {} cases ({} and {})", change.mismatch.name,
                              change.cases, change.mismatch.base, change.mismatch.now),
                  fmt::format("compare runs made under equal conditions, or give --allow {}", change.mismatch.name));
  if (const std::string was = devices_in(base), is = devices_in(now); was != is)
    throw Error(Fault::config, fmt::format("no case can be compared: base ran on {}, new on {}", was, is),
                "compare two runs of one machine");
  throw Error(Fault::config,
              fmt::format("no case can be compared; the first one, {}, is not since it is {}",
                          report.cases.front().case_id, report.cases.front().reason),
              "compare two runs of one suite with the same --target");
}

void calibrate(const CompareFlags& flags, const CompareOptions& options, Session& session) {
  std::vector<RunRecords> runs;
  for (const std::string& path : flags.paths) {
    RunSet set = read_runs(path, flags.skip_unreadable);
    tell_unreadable(set);
    for (RunRecords& run : set.runs) runs.push_back(std::move(run));
  }
  const Calibration calibration = calibrate_noise(runs, options);
  const std::string json = to_json(calibration).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  if (!flags.save.empty()) replace_file(flags.save, json);
  put(flags.output, session.json || flags.format == "json"
                        ? json
                        : render_calibration(calibration, options, style_of(STDOUT_FILENO), flags.all));
  if (flags.save.empty()) fmt::print(stderr, "to use this: --save FILE here, then --noise FILE when comparing\n");
}

void compare(const CompareFlags& flags, const CompareOptions& wanted, Session& session) {
  if (flags.paths.size() != 2)
    throw Error(Fault::config, fmt::format("compare takes BASE and NEW, and got {} paths", flags.paths.size()),
                "put several runs of one side into one argument: BASE1,BASE2 NEW1,NEW2");
  CompareOptions options = wanted;
  const RunSet base = read_runs(flags.paths[0], flags.skip_unreadable),
               now = read_runs(flags.paths[1], flags.skip_unreadable);
  tell_unreadable(base);
  tell_unreadable(now);
  if (!flags.noise.empty()) {
    const StoredNoise stored = noise_from_json(read_json(flags.noise));
    require_same_device(stored, base.runs, options);
    options.calibration = stored.noise;
  }
  const ComparisonReport report = compare_runs(base.runs, now.runs, options);
  require_something(report, base, now);
  const ComparisonText text{&report, side_text_of(flags.paths[0], base), side_text_of(flags.paths[1], now),
                            judge(report, flags.strict), flags.strict};
  put(flags.output, rendered_comparison(text, flags, session));
  if (!flags.markdown.empty()) write_markdown(flags.markdown, text);
  if (!flags.junit.empty()) replace_file(flags.junit, render_junit(text));
  if (is_set("GITHUB_ACTIONS")) fmt::print(stderr, "{}", render_annotations(text));
  if (flags.gate && text.gate == GateOutcome::regression) session.exit_code = kInvalid;
  if (flags.gate && text.gate == GateOutcome::undecided) session.exit_code = kInconclusive;
}

const Register<Command> compare_command{
    {.name = "compare",
     .place = 6,
     .summary = "did cases become faster or slower: a verdict each, and a gate for CI",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<CompareFlags>();
       app.add_option("paths", flags->paths,
                      "BASE and NEW: a folder with records.jsonl, a folder of such folders, or several with commas")
           ->required()
           ->option_text("BASE NEW");
       app.add_flag("--gate", flags->gate, "exit 3 when a case is slower or broke, 4 when undecided with --strict");
       app.add_flag("--strict", flags->strict, "ambiguous and not comparable do not pass either");
       app.add_option("--margin", flags->margin, "a change below it is none (default 2%)")->option_text("SHARE");
       app.add_option("--allow", flags->allow, "compare although this differs: " + joined(condition_names(), ", "))
           ->option_text("KEY[,KEY]");
       app.add_flag("--calibrate", flags->calibrate,
                    "all runs are of one code: tell how much runs differ and which slow-down would be found");
       app.add_option("--save", flags->save, "with --calibrate: keep the noise for --noise")->option_text("FILE");
       app.add_option("--noise", flags->noise, "how much runs differ, from --calibrate --save")->option_text("FILE");
       app.add_option("--run-noise", flags->run_noise,
                      "standard deviation of a run where nothing shows it (default: from the other cases, else 1%)")
           ->option_text("SHARE");
       app.add_option("--format", flags->format, "table, markdown, json, junit")
           ->check(CLI::IsMember({"table", "markdown", "json", "junit"}))
           ->option_text("NAME");
       app.add_option("-o,--output", flags->output, "file to write instead of stdout")->option_text("FILE");
       app.add_option("--markdown", flags->markdown, "write Markdown too; $GITHUB_STEP_SUMMARY is added to")
           ->option_text("FILE");
       app.add_option("--junit", flags->junit, "write JUnit XML too")->option_text("FILE");
       app.add_flag("--all", flags->all, "every case in the table");
       app.add_flag("--skip-unreadable", flags->skip_unreadable,
                    "use the records that can be read, and name the lines that cannot");
       app.callback([flags, &session] {
         const CompareOptions options = compare_options_of(*flags);
         if (flags->calibrate)
           calibrate(*flags, options, session);
         else
           compare(*flags, options, session);
       });
     }}};

}  // namespace
}  // namespace chokepoint
