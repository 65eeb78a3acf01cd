// `tune`: which configuration of a kernel is the fastest for the shapes of a suite, within a time; the choices go into
// configs/tuning, where `run` finds them.
#include "harness/run/tune.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/cli/command.hpp"
#include "harness/model/tuning.hpp"
#include "harness/run/architecture.hpp"
#include "harness/run/environment.hpp"
#include "harness/run/problem_source.hpp"
#include "harness/run/runner.hpp"
#include "harness/run/store.hpp"
#include "harness/run/tune_records.hpp"

namespace chokepoint {
namespace {

struct TuneFlags {
  std::string suite, device, filter = "*", budget = "120s", out, into;
  std::optional<std::uint64_t> seed;
  bool resume = false;
};

// A group whose kernel has something to choose.
struct TuneSubject {
  CaseGroup group;
  const KernelChoices* choices = nullptr;
  std::vector<std::string> configurations;
};

std::vector<TuneSubject> tune_subjects(const std::vector<CaseGroup>& groups, const Device& device) {
  std::vector<TuneSubject> subjects;
  std::set<std::string> seen;
  for (const CaseGroup& group : groups) {
    const KernelChoices* choices = find_choices(group.operation, group.kernel);
    if (choices == nullptr || group.unsupported || !seen.insert(group.name()).second ||
        architecture_obstacle(find_kernel(group.operation, group.kernel), device.facts()))
      continue;
    std::vector<std::string> configurations = choices->configurations(group.shape, group.dtype, device);
    if (configurations.size() > 1) subjects.push_back({group, choices, std::move(configurations)});
  }
  return subjects;
}

std::vector<std::string> kernels_with_choices() {
  std::vector<std::string> names;
  for (const KernelChoices& choices : Registry<KernelChoices>::instance().all()) names.push_back(registry_key(choices));
  std::sort(names.begin(), names.end());
  return names;
}

class TuningFolder {
 public:
  TuningFolder(std::string folder, std::string device) : folder_(std::move(folder)), device_(std::move(device)) {
    require_writable_folder(folder_);
  }

  // As it is on disk, or empty.
  TuningFile& of(const CaseGroup& group) {
    const std::string stem = tuning_stem(device_, group.operation, group.kernel), path = folder_ + "/" + stem + ".json";
    const auto [at, is_new] = files_.try_emplace(stem);
    if (is_new)
      at->second = std::filesystem::exists(path) ? decode_tuning(read_json(path))
                                                 : TuningFile{path, device_, group.operation, group.kernel, {}};
    return at->second;
  }
  static void write(const TuningFile& file) { replace_file(file.path, to_json(file).dump(2) + "\n"); }

 private:
  std::string folder_, device_;
  std::map<std::string, TuningFile> files_;
};

struct TunedShape {
  TunedChoice choice;
  std::int64_t failed = 0;  // trials
};

class TuneSession {
 public:
  TuneSession(Device& device, Store& store, const Session& session) : device_(device), store_(store) {
    run_id_ = sha256_hex(utc_now() + store.folder() + std::to_string(::getpid())).substr(0, 12);
    provenance_ = program_provenance(device.facts());
    provenance_["argv"] = session.argv;
  }

  TunedShape tune_one(const TuneSubject& subject, double budget_s) {
    const std::shared_ptr<const PreparedProblem> prepared = problems_.get(subject.group);
    const TuneTask task{*subject.choices, subject.configurations, *prepared->problem, prepared->answer};
    TunedShape outcome;
    int number = 0;
    std::vector<std::string> latest;  // case ids
    const TuneSettings settings{.budget_s = budget_s};
    const TuneResult result = tune(task, device_, settings, [&](const TuneTrial& trial) {
      tell(trial);
      if (trial.end == TrialEnd::failed) ++outcome.failed;
      latest = keep(records_of(trial, ++number, subject.group, device_.facts(), settings.confidence));
    });
    TunedChoice& choice = outcome.choice;
    choice.run_id = run_id_;
    choice.shape = subject.group.shape;
    choice.dtype = subject.group.dtype;
    choice.configuration = result.chosen;
    choice.planned = result.planned;
    if (result.chosen != result.planned) {
      choice.time_ratio = result.confirmation->ratio->ratio;
      choice.time_ratio_interval = result.confirmation->ratio->interval;
      choice.records = latest;  // the confirmation comes last
    }
    choice.tried = static_cast<std::int64_t>(result.trials.size());
    choice.undecided = std::count_if(result.trials.begin(), result.trials.end(),
                                     [](const TuneTrial& trial) { return trial.end == TrialEnd::undecided; });
    choice.untried = static_cast<std::int64_t>(result.untried);
    return outcome;
  }

 private:
  static void tell(const TuneTrial& trial) {
    const std::string ratio = trial.ratio && trial.ratio->interval
                                  ? fmt::format(", {:.3f} x the time [{:.3f}, {:.3f}]", trial.ratio->ratio,
                                                trial.ratio->interval->low, trial.ratio->interval->high)
                                  : "";
    fmt::print(stderr, "  {} against {}: {}{}{}{}\n", trial.challenger.configuration, trial.best.configuration,
               to_string(trial.end), ratio, trial.reason.empty() ? "" : ": ", trial.reason);
  }

  std::vector<std::string> keep(std::vector<Record> records) {
    std::vector<std::string> case_ids;
    for (Record& record : records) {
      record.run_id = run_id_;
      for (const auto& [key, value] : provenance_.items()) record.provenance[key] = value;
      add_metrics(record, {}, std::nullopt);
      store_.append(record);
      case_ids.push_back(record.case_id);
    }
    return case_ids;
  }

  Device& device_;
  Store& store_;
  ProblemSource problems_;
  std::string run_id_;
  Json provenance_;
};

std::string default_tune_folder(const std::string& device) {
  std::string name = device;
  std::erase(name, ':');
  return fmt::format("out/{:%Y-%m-%d_%H%M%S}_{}_tune", fmt::gmtime(std::time(nullptr)), name);
}

void show_choice(const CaseGroup& group, const TunedChoice& choice, const char* remark) {
  const std::string won =
      choice.time_ratio
          ? fmt::format(" instead of {}: {:.3f} x the time [{:.3f}, {:.3f}]", choice.planned, *choice.time_ratio,
                        choice.time_ratio_interval->low, choice.time_ratio_interval->high)
          : ", the plan's own";
  fmt::print("{}: {}{}; {} tried, {} of them undecided, {} not tried{}\n", group.name(), choice.configuration, won,
             choice.tried, choice.undecided, choice.untried, remark);
}

// Those without a choice, where a run is resumed; says what the others have.
std::vector<TuneSubject> left_of(std::vector<TuneSubject> subjects, TuningFolder& files, bool resume, bool quiet) {
  if (!resume) return subjects;
  std::erase_if(subjects, [&](const TuneSubject& subject) {
    const TunedChoice* known = files.of(subject.group).find(subject.group.shape, subject.group.dtype);
    if (known != nullptr && !quiet) show_choice(subject.group, *known, " (before)");
    return known != nullptr;
  });
  return subjects;
}

// Each choice is on disk before the next shape begins. A shape whose own plan fails costs that shape.
void tune_each(const std::vector<TuneSubject>& left, double budget_s, TuneSession& tuning, TuningFolder& files,
               Device& device, Session& session) {
  Json shown = Json::array();
  const double end_s = device.now_s() + budget_s;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const TuneSubject& subject = left[i];
    const double share_s = (end_s - device.now_s()) / static_cast<double>(left.size() - i);
    if (share_s <= 0.0) {
      fmt::print(stderr, "the time is up: {} of {} shapes are left; go on with --resume\n", left.size() - i,
                 left.size());
      break;
    }
    fmt::print(stderr, "[{}/{}] {}: {} configurations, {:.0f} s\n", i + 1, left.size(), subject.group.name(),
               subject.configurations.size(), share_s);
    try {
      const TunedShape tuned = tuning.tune_one(subject, share_s);
      if (tuned.failed > 0) session.exit_code = kSomeCaseFailed;
      TuningFile& file = files.of(subject.group);
      file.put(tuned.choice);
      TuningFolder::write(file);
      if (!session.json) show_choice(subject.group, tuned.choice, "");
      shown.push_back(to_json(tuned.choice));
    } catch (const Error& error) {
      fmt::print(stderr, "error: {}\n", error.what());
      session.exit_code = kSomeCaseFailed;
    }
  }
  if (session.json) print_json(shown);
}

void tune_suite(const TuneFlags& flags, Session& session) {
  const Suite suite = load_suite(find_suite(session.configs, flags.suite));
  const std::string device_name = flags.device.empty() ? suite.device : flags.device;
  const double budget_s = parse_duration_s(flags.budget);
  const std::vector<CaseGroup> groups = plan_suite(
      suite, {.configs = session.configs, .device = device_name, .filter = flags.filter, .seed = flags.seed});
  const std::unique_ptr<Device> device = open_device(device_name);
  const std::vector<TuneSubject> subjects = tune_subjects(groups, *device);
  if (subjects.empty())
    throw Error(Fault::config,
                fmt::format("no case of {} on {} that \"{}\" matches has anything to choose", suite.id, device_name,
                            flags.filter),
                "kernels with something to choose: " + joined(kernels_with_choices(), ", "));
  TuningFolder files(flags.into.empty() ? session.configs + "/tuning" : flags.into, device->facts().name);
  const std::vector<TuneSubject> left = left_of(subjects, files, flags.resume, session.json);
  if (left.empty()) return;
  Store store(flags.out.empty() ? default_tune_folder(device_name) : flags.out, flags.resume);
  if (!store.environment()) store.write_environment(environment_of(*device, session.argv));
  TuneSession tuning(*device, store, session);
  tune_each(left, budget_s, tuning, files, *device, session);
  fmt::print(stderr, "records: {}/records.jsonl\n", store.folder());
}

const Register<Command> tune_command{
    {.name = "tune",
     .place = 7,
     .summary = "find the fastest configuration of kernels for a suite's shapes, and keep the choice as data",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<TuneFlags>();
       app.add_option("suite", flags->suite, "whose shapes: name of a suite in configs/suites, or a file")
           ->required()
           ->option_text("SUITE");
       app.add_option("--device", flags->device, "cpu or cuda:N, instead of the suite's")->option_text("DEVICE");
       app.add_option("--filter", flags->filter, "only cases whose name matches, e.g. 'matmul/hopper/*'")
           ->option_text("GLOB");
       app.add_option("--budget", flags->budget, "time for all trials (default: 120s)")->option_text("TIME");
       app.add_option("--seed", flags->seed, "seed of the inputs, instead of the suite's")
           ->check(CLI::NonNegativeNumber)
           ->option_text("N");
       app.add_option("--out", flags->out, "folder for the records (default: out/<time>_<device>_tune)")
           ->option_text("DIR");
       app.add_option("--into", flags->into, "folder of the choices (default: tuning in the configs)")
           ->option_text("DIR");
       app.add_flag("--resume", flags->resume, "leave out shapes that have a choice already");
       app.callback([flags, &session] { tune_suite(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
