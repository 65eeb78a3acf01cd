// `cost`: which target is cheaper for the work in some records, at today's prices, rented or owned, and what
// that hangs on. Nothing is measured; the same records give another answer with another book.
#include "harness/report/cost.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/named_estimates.hpp"
#include "harness/cli/runs.hpp"
#include "harness/report/cost_text.hpp"

namespace chokepoint {
namespace {

struct CostFlags {
  std::vector<std::string> paths, prices_of, purchases, settings;
  std::string format = "table", output, prices, costs, facility = "colocation", reference;
  bool owned = false, skip_unreadable = false;
  std::uint64_t seed = 1;
};

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

CostOptions cost_options_of(const CostFlags& flags, const Session& session) {
  CostOptions options;
  options.prices.books = load_price_books(session.configs);
  if (!flags.prices.empty()) options.prices.choice = flags.prices;
  options.book = find_cost_book(load_cost_books(session.configs), flags.costs);
  options.facility = flags.facility;
  options.possession = flags.owned ? Possession::owned : Possession::rented;
  if (!flags.reference.empty()) options.reference = flags.reference;
  options.usd_per_h = named_estimates(flags.prices_of, "--price");
  options.capex_usd = named_estimates(flags.purchases, "--purchase");
  options.settings = named_estimates(flags.settings, "--set");
  options.today = today();
  options.seed = flags.seed;
  return options;
}

std::string rendered_cost(const CostReport& report, const std::string& format) {
  static const std::vector<std::string> formats = {"table", "markdown", "json"};
  if (format == "table") return cost_table(report, style_of(STDOUT_FILENO));
  if (format == "markdown") return cost_markdown(report);
  if (format == "json") return cost_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  throw Error(Fault::config, fmt::format("format \"{}\" is unknown to `cost`", format),
              suggestion(format, formats));
}

void cost(const CostFlags& flags, Session& session) {
  if (!flags.owned && !flags.purchases.empty())
    throw Error(Fault::config, "--purchase is for machines one owns", "add --owned");
  if (flags.owned && !flags.prices_of.empty())
    throw Error(Fault::config, "--price is for machines one rents", "leave out --owned, or give --purchase");
  const CostReport report = make_cost_report(read_records(flags.paths, {.skip_unreadable = flags.skip_unreadable}),
                                             cost_options_of(flags, session));
  const std::string text = rendered_cost(report, session.json ? "json" : flags.format);
  if (flags.output.empty())
    fmt::print("{}", text);
  else
    replace_file(flags.output, text);
  if (tell_missing(report.set, flags.skip_unreadable)) session.exit_code = kUsage;
}

const Register<Command> cost_command{
    {.name = "cost",
     .place = 7,
     .summary = "which target is cheaper per unit of work, rented or owned, and what that hangs on",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<CostFlags>();
       app.add_option("paths", flags->paths, "folders with records.jsonl, or such files")
           ->required()
           ->option_text("DIR..");
       app.add_option("--reference", flags->reference,
                      "target to compare with (default: the earlier one of each pair)")
           ->option_text("TARGET");
       app.add_option("--prices", flags->prices,
                      "price book, e.g. 2026-03-29_semianalysis:rental_3y (default: the "
                      "newest market)")
           ->option_text("BOOK");
       app.add_option("--price", flags->prices_of,
                      "rent per hour of your own: h800-sxm=1.5 or h800-sxm=1.2..1.8")
           ->option_text("TARGET=USD");
       app.add_flag("--owned", flags->owned, "bought and run instead of rented");
       app.add_option("--purchase", flags->purchases,
                      "with --owned: purchase price per GPU, host and network included")
           ->option_text("TARGET=USD");
       app.add_option("--costs", flags->costs, "cost book (default: the newest in configs/costs)")
           ->option_text("BOOK");
       app.add_option("--facility", flags->facility,
                      "facility of the cost book, for its PUE (default: colocation)")
           ->option_text("ID");
       app.add_option("--set", flags->settings,
                      "an assumption: " + joined(cost_settings(), ", ") + "; pue=1.1 or pue=1.05..1.2")
           ->option_text("NAME=VALUE");
       app.add_option("--format", flags->format, "table, markdown, json")->option_text("NAME");
       app.add_option("-o,--output", flags->output, "file to write instead of stdout")->option_text("FILE");
       app.add_flag("--skip-unreadable", flags->skip_unreadable,
                    "use the records that can be read, and name the lines that cannot");
       app.add_option("--seed", flags->seed, "of the draws")->option_text("N");
       app.callback([flags, &session] { cost(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
