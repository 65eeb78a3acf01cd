// `run`: a suite, under the caps of its targets, into a folder of records and a table.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/caps/privileged_request.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/suite_flags.hpp"
#include "harness/model/tuning.hpp"
#include "harness/report/report.hpp"
#include "harness/run/environment.hpp"
#include "harness/run/runner.hpp"

namespace chokepoint {
namespace {

struct RunFlags {
  SuiteFlags suite;
  std::string out, prices, timeout, ceilings;
  bool resume = false;
  bool allow_privileged = false;
  std::optional<double> sm_clock_mhz, memory_clock_mhz, power_limit_w;
  std::optional<std::string> nvlink_mode;
};

PrivilegedRequest request_of(const RunFlags& flags) {
  const auto hz = [](std::optional<double> mhz) { return mhz ? std::optional(*mhz * 1e6) : std::nullopt; };
  return {hz(flags.sm_clock_mhz), hz(flags.memory_clock_mhz), flags.power_limit_w, flags.nvlink_mode};
}

// Records of one folder were made under the same clocks and limits.
void require_same_knobs(const Store& store, const Json& asked) {
  if (!store.environment()) return;
  const Json before = store.environment()->value("privileged", Json::object());
  if (before != asked)
    throw Error(Fault::config, fmt::format("{} was begun with the knobs {}, not {}", store.folder(), before.dump(), asked.dump()),
                "resume with the same flags, or choose another --out");
}

// The place on the bus names the board, as in GpuEnergy.
NvmlGpu board_of(const Device& device) {
  return Nvml::open()->find(device.facts().more.at("pci_bus_id").get<std::string>());
}

// One line that redraws itself on a terminal, one line per group elsewhere.
class ProgressLine {
 public:
  ~ProgressLine() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
  }
  void operator()(const Progress& progress) {
    const std::string text = fmt::format(
        "[{}/{}] {} ({} target{}), {:.0f} s so far, about {:.0f} s left", progress.group + 1, progress.groups,
        progress.now->label.empty() ? progress.now->operation
                                    : progress.now->operation + " " + progress.now->label,
        progress.now->targets.size(), progress.now->targets.size() == 1 ? "" : "s", progress.elapsed_s,
        progress.left_s);
    if (::isatty(STDERR_FILENO) != 0 && std::getenv("CI") == nullptr) {
      fmt::print(stderr, "\r\033[K{}", text.substr(0, 110));
      std::fflush(stderr);
      drawn_ = true;
    } else if (progress.group != last_) {
      fmt::print(stderr, "{}\n", text);
    }
    last_ = progress.group;
  }

 private:
  std::size_t last_ = static_cast<std::size_t>(-1);
  bool drawn_ = false;
};

std::string default_folder(const Suite& suite, const std::string& device) {
  const std::time_t now = std::time(nullptr);
  std::string name = device;
  std::erase(name, ':');
  return fmt::format("out/{:%Y-%m-%d_%H%M%S}_{}_{}", fmt::gmtime(now), name, suite.id);
}

std::set<Dtype> dtypes_with_caps(const std::vector<CaseGroup>& groups) {
  std::set<Dtype> dtypes;
  for (const CaseGroup& group : groups)
    for (const std::string& target : group.targets)
      if (target != "host" && !group.unsupported) dtypes.insert(group.dtype);
  return dtypes;
}

// Of another run on this kind of machine; empty where it has none of some dtype.
std::optional<Ceilings> ceilings_in(const std::string& folder, const std::set<Dtype>& dtypes) {
  const std::string path = folder + "/environment.json";
  const JsonFile file = read_json(path);
  if (!file.value.contains("ceilings")) return std::nullopt;
  const Ceilings ceilings = ceilings_from_json(Fields({path, file.text, file.value["ceilings"]}));
  const bool has_all = std::all_of(dtypes.begin(), dtypes.end(), [&](Dtype dtype) { return ceilings.compute.contains(dtype); });
  return has_all ? std::optional(ceilings) : std::nullopt;
}

struct KnownCeilings {
  Ceilings ceilings;
  std::string from;  // name of the folder of the run that measured them; empty: this one
};

// Ceilings of this machine today, or of the run that was named; on resume those the run began with, because they fix
// the dilation.
KnownCeilings ceilings_for(const std::set<Dtype>& dtypes, Device& device, const Store& store, const std::string& from) {
  if (dtypes.empty()) return {};
  if (store.environment() && store.environment()->contains("ceilings")) {
    if (const auto begun_with = ceilings_in(store.folder(), dtypes)) return {*begun_with, ""};
    throw Error(Fault::config, fmt::format("{} was begun without the ceilings of some dtype", store.folder()),
                "resume with the same suite and filter, or choose another --out");
  }
  if (!from.empty()) {
    if (const auto known = ceilings_in(from, dtypes)) {
      const Json environment = read_json(from + "/environment.json").value;
      const std::string name = std::filesystem::weakly_canonical(from + "/environment.json").parent_path().filename();
      return {*known, environment.value("ceilings_from", name)};  // where they were measured, not where they were read
    }
    fmt::print(stderr, "{} lacks ceilings that this suite needs\n", from);
  }
  fmt::print(stderr, "calibrating: what this machine delivers, uncapped\n");
  return {calibrate(device, {dtypes.begin(), dtypes.end()}), ""};
}

// Ceilings, and with them dilation and caps, are those of the machine that the run began on.
void require_same_device(const std::string& folder, const Json& environment, const DeviceFacts& facts,
                         const char* remedy) {
  if (!environment.contains("device")) return;
  const std::string made_on = environment["device"].value("name", facts.name);
  if (made_on != facts.name)
    throw Error(Fault::config, fmt::format("{} was begun on {}, and this is {}", folder, made_on, facts.name), remedy);
}

int exit_code_of_records(const std::vector<Record>& records) {
  std::set<Status> seen;
  for (const Record& record : records) seen.insert(record.status);
  if (seen.contains(Status::invalid)) return kInvalid;
  if (seen.contains(Status::failed)) return kSomeCaseFailed;
  return seen.contains(Status::ok) ? kOk : kNothingRan;
}

void run_suite_command(const RunFlags& flags, Session& session) {
  const Suite suite = load_suite(find_suite(session.configs, flags.suite.suite));
  const std::vector<CaseGroup> groups = plan_suite(suite, plan_options(flags.suite, session));
  if (groups.empty())
    throw Error(Fault::config,
                fmt::format("no case of {} matches the filter \"{}\"", suite.id, flags.suite.filter),
                "see the names with `chokepoint plan`");
  RunSettings settings;
  settings.configs = std::filesystem::absolute(session.configs);
  settings.worker = {session.program, "case"};
  settings.books = load_price_books(session.configs);
  settings.prices = !flags.prices.empty() ? std::optional(flags.prices) : suite.prices;
  if (settings.prices) quote(settings.books, "h100-sxm", *settings.prices);  // an unknown book is known now
  load_tuning(session.configs);  // a mistake in it too
  const std::string device_name = flags.suite.device.empty() ? suite.device : flags.suite.device;
  const PrivilegedRequest request = request_of(flags);
  check(request, flags.allow_privileged, device_name);
  const std::unique_ptr<PrivilegedKnobs> knobs = knobs_for(request, flags.allow_privileged);  // before a GPU is opened
  const std::unique_ptr<Device> device = open_device(device_name);
  Store store(flags.out.empty() ? default_folder(suite, device_name) : flags.out, flags.resume);
  if (store.mended())
    fmt::print(
        stderr,
        "the last record of {} was cut short; it is kept in records.jsonl.cut and its case runs again\n",
        store.folder());
  require_same_knobs(store, to_json(request));
  if (knobs) turn_knobs(request, board_of(*device), *knobs);
  if (store.environment())
    require_same_device(store.folder(), *store.environment(), device->facts(),
                        "resume on the same kind of machine, or choose another --out");
  if (!flags.ceilings.empty())
    require_same_device(flags.ceilings, read_json(flags.ceilings + "/environment.json").value, device->facts(),
                        "leave out --ceilings, or name a run on this kind of machine");
  const auto [ceilings, ceilings_from] = ceilings_for(dtypes_with_caps(groups), *device, store, flags.ceilings);
  if (!store.environment()) {
    Json environment = environment_of(*device, session.argv);
    environment["suite"] = {{"id", suite.id}, {"sha256", suite.hash}};
    environment["ceilings"] = to_json(ceilings);
    if (!ceilings_from.empty()) environment["ceilings_from"] = ceilings_from;
    if (!request.empty()) environment["privileged"] = to_json(request);
    store.write_environment(environment);
  }
  if (!flags.timeout.empty()) settings.timeout_s = parse_duration_s(flags.timeout);
  settings.run_id = sha256_hex(utc_now() + store.folder() + std::to_string(::getpid())).substr(0, 12);
  settings.provenance = program_provenance(device->facts());
  settings.provenance.update({{"suite", suite.id}, {"suite_hash", suite.hash}, {"argv", session.argv}});
  if (!request.empty()) settings.provenance["privileged"] = to_json(request);
  {
    ProgressLine line;
    run_groups(groups, ceilings, device->facts(), settings, store,
               [&](const Progress& progress) { line(progress); });
  }
  if (knobs) knobs->put_back();
  RecordSet set = read_records({store.folder()});
  session.exit_code = exit_code_of_records(set.records);
  fmt::print("{}", render_report(session.json ? "json" : "table", std::move(set),
                                 {settings.books, settings.prices}, style_of(STDOUT_FILENO)));
  fmt::print(stderr, "records: {}/records.jsonl\n", store.folder());
}

const Register<Command> run_command{
    {.name = "run",
     .place = 1,
     .summary = "run a suite under the caps of its targets",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<RunFlags>();
       add_suite_flags(app, flags->suite);
       app.add_option("--out", flags->out, "folder for the records (default: out/<time>_<device>_<suite>)")
           ->option_text("DIR");
       app.add_option("--ceilings", flags->ceilings, "take the ceilings of an earlier run on this machine, from its folder")
           ->option_text("DIR");
       app.add_flag("--resume", flags->resume, "continue the run in --out; repeats nothing");
       app.add_option("--prices", flags->prices,
                      "price book, e.g. 2025-02_deepseek (default: the newest market)")
           ->option_text("BOOK");
       app.add_option("--case-timeout", flags->timeout,
                      "stop a group of cases that takes longer (default: five times what is expected)")
           ->option_text("TIME");
       app.add_flag("--allow-privileged", flags->allow_privileged,
                    "let the flags below change the GPU's clocks and limits while this runs (root)");
       app.add_option("--lock-sm-clock", flags->sm_clock_mhz, "lock the SM clock")->option_text("MHZ");
       app.add_option("--lock-memory-clock", flags->memory_clock_mhz, "lock the memory clock")->option_text("MHZ");
       app.add_option("--power-limit", flags->power_limit_w, "limit the board's power")->option_text("W");
       app.add_option("--nvlink-mode", flags->nvlink_mode, "NVLink bandwidth of the whole system")
           ->check(CLI::IsMember(nvlink_modes()))
           ->option_text("MODE");
       app.callback([flags, &session] { run_suite_command(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
