// energy: what GPU-hours take from the grid and what they cost. The hours are published, or those of a training step
// that is derived first.
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/claim_energy.hpp"
#include "harness/claims/quantity_unit.hpp"
#include "harness/claims/training_scene.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

struct EnergyFacts {
  double gpu_s = 0.0, tokens = 0.0;
  PowerModel power;  // what was drawn, exact
  double usd_per_kwh = 0.0, usd_per_gpu_h = 0.0;

  double facility_j() const { return gpu_s * facility_w(power).mid; }
  double electricity_usd() const { return facility_j() / kJoulePerKwh * usd_per_kwh; }
  double rent_usd() const { return gpu_s / kSecondsPerHour * usd_per_gpu_h; }
};

struct EnergyNumber {
  std::string name, base_unit;
  std::vector<std::string> keys;  // of energy_keys(): what it hangs on, besides hours
  bool needs_tokens = false, needs_hours = true;
  double (*value)(const EnergyFacts&);

  bool needs(const std::string& key) const { return std::find(keys.begin(), keys.end(), key) != keys.end(); }
};

const std::vector<EnergyNumber>& energy_numbers() {
  static const std::vector<std::string> at_meter = {"board_w", "host_w", "load_share", "pue"};
  static const std::vector<std::string> bill = {"board_w", "host_w", "load_share", "pue", "electricity"};
  static const std::vector<std::string> all = energy_keys();
  static const std::vector<EnergyNumber> numbers = {
      {"energy", "J", at_meter, false, true, [](const EnergyFacts& f) { return f.facility_j(); }},
      {"it_energy",
       "J",
       {"board_w", "host_w", "load_share"},
       false,
       true,
       [](const EnergyFacts& f) { return f.facility_j() / f.power.pue.mid; }},
      {"board_energy",
       "J",
       {"board_w", "load_share"},
       false,
       true,
       [](const EnergyFacts& f) { return f.gpu_s * f.power.board_w.mid * f.power.load_share.mid; }},
      {"average_power", "W/GPU", at_meter, false, false, [](const EnergyFacts& f) { return facility_w(f.power).mid; }},
      {"energy_per_token", "J/token", at_meter, true, true,
       [](const EnergyFacts& f) { return f.facility_j() / f.tokens; }},
      {"electricity_usd", "USD", bill, false, true, [](const EnergyFacts& f) { return f.electricity_usd(); }},
      {"rent_usd", "USD", {"usd_per_gpu_h"}, false, true, [](const EnergyFacts& f) { return f.rent_usd(); }},
      {"electricity_share", "1", all, false, false,
       [](const EnergyFacts& f) { return f.electricity_usd() / f.rent_usd(); }}};
  return numbers;
}

// By its name; one whose unit says what it is may be called anything.
const EnergyNumber& energy_number_of(const Claim& claim) {
  std::vector<std::string> names;
  for (const EnergyNumber& number : energy_numbers()) {
    if (number.name == claim.quantity.name) return number;
    names.push_back(number.name);
  }
  const std::string base = quantity_unit(claim.quantity.unit)->base;
  if (base != "USD" && base != "1")
    for (const EnergyNumber& number : energy_numbers())
      if (number.base_unit == base) return number;
  claim.reject("quantity/name", fmt::format("is \"{}\", which energy does not give", claim.quantity.name),
               suggestion(claim.quantity.name, names));
}

EnergyFacts energy_facts(const EnergyNumber& number, const Drawn& drawn, double gpu_s, double tokens) {
  const auto value = [&](const char* key) { return number.needs(key) ? drawn[key] : 1.0; };
  EnergyFacts facts{gpu_s, tokens, {}, value("electricity"), value("usd_per_gpu_h")};
  facts.power = {exactly(value("board_w")), exactly(value("host_w")), exactly(std::min(1.0, value("load_share"))),
                 exactly(std::max(1.0, value("pue")))};
  return facts;
}

// The step whose hours are wanted, as a claim of its own in the same file.
Claim step_claim_of(const Claim& claim) {
  Claim step = claim;
  step.kind = "train_step";
  step.quantity = {"gpu_hours_per_T_tokens", "h", {1.0}, {}, {}, {}, true};
  return step;
}

void check_power_assumptions(const Claim& claim) {
  for (std::size_t i = 0; i < claim.assumptions.size(); ++i) {
    const Assumption& assumption = claim.assumptions[i];
    if (assumption.key == "pue" && assumption.lo < 1.0)
      claim.reject(fmt::format("assumptions/{}/lo", i),
                   fmt::format("is {}: a building uses no less than what is in it", assumption.lo), "write at least 1");
    if (assumption.key == "load_share" && assumption.hi > 1.0)
      claim.reject(fmt::format("assumptions/{}/hi", i), fmt::format("is {}, above the rated power", assumption.hi),
                   "write average over rated power; what a board may draw is board_w");
  }
}

// Published hours, or those of the step: `gpu_seconds`, inputs and assumptions.
Prepared prepare_hours(const Scene& scene, const EnergyNumber& number) {
  const Claim& claim = scene.claim;
  const std::optional<double> hours = claim.model.number("gpu_hours");
  if (!hours && number.needs_hours)
    return prepare_training(
        {step_claim_of(claim), scene.machine, scene.configs, scene.route, scene.records, scene.measured_use});
  Prepared prepared;
  prepared.has_one_route = true;
  if (hours) prepared.inputs.push_back({"gpu_hours", *hours, "h", Grade::c, claim.source.cite});
  prepared.gpu_seconds_of = hours ? "the run" : "an hour";
  prepared.gpu_seconds = [seconds = hours.value_or(1.0) * kSecondsPerHour](const Drawn&) {
    return std::vector{seconds};
  };
  return prepared;
}

double tokens_behind(const Claim& claim, const Prepared& prepared) {
  return prepared.gpu_seconds_of == "1T tokens" ? 1e12 : claim.workload.number("tokens", 0.0);
}

std::optional<EnergyFigures> figures_of(const Scene& scene, const std::string& facility, Prepared& prepared) {
  try {
    return energy_figures(scene.machine->profile, scene.configs, facility);
  } catch (const Error& error) {
    prepared.missing.push_back(error.message());
    return std::nullopt;
  }
}

using EnergyOfDraw = std::function<EnergyFacts(const Drawn&)>;

// What others count instead: the rating of the boards, the whole rating, other buildings.
void add_power_alternatives(const Scene& scene, const EnergyNumber& number, const std::string& facility,
                            const EnergyOfDraw& facts, Prepared& prepared) {
  if (!number.needs("pue")) return;
  const auto add = [&](const std::string& text, const std::function<void(PowerModel&)>& change) {
    prepared.alternatives.push_back({text, [=](const Drawn& drawn) {
                                       EnergyFacts changed = facts(drawn);
                                       change(changed.power);
                                       return std::vector{number.value(changed)};
                                     }});
  };
  add("boards at their rating, without hosts and building", [](PowerModel& power) {
    power.host_w = exactly(0.0);
    power.load_share = power.pue = exactly(1.0);
  });
  add("boards and hosts at their rating all the time", [](PowerModel& power) { power.load_share = exactly(1.0); });
  for (const Facility& other : newest_cost_book(scene.configs).facilities)
    if (other.id != facility)
      add(fmt::format("a {} building, PUE {:.4g}", other.id, other.pue.mid),
          [pue = other.pue.mid](PowerModel& power) { power.pue = exactly(pue); });
}

Prepared prepare_energy(const Scene& scene) {
  const Claim& claim = scene.claim;
  const EnergyNumber& number = energy_number_of(claim);
  check_power_assumptions(claim);
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, whose power counts");
    return prepared;
  }
  prepared = prepare_hours(scene, number);
  const std::string facility = claim.model.text("facility", kUsualFacility);
  const std::optional<EnergyFigures> figures = figures_of(scene, facility, prepared);
  const double tokens = tokens_behind(claim, prepared);
  if (number.needs_tokens && tokens == 0.0) prepared.missing.push_back("workload.tokens, the tokens of the whole run");
  if (number.needs("usd_per_gpu_h") && figures && !figures->usd_per_gpu_h)
    prepared.missing.push_back(figures->rent_gap);
  if (!prepared.missing.empty()) return prepared;
  for (Assumption& assumption : energy_assumptions(*figures))
    if (number.needs(assumption.key)) prepared.assumptions.push_back(std::move(assumption));
  const EnergyOfDraw facts = [&number, hours = prepared.gpu_seconds, tokens](const Drawn& drawn) {
    return energy_facts(number, drawn, hours(drawn).front(), tokens);
  };
  prepared.inputs.push_back({"machine.tdp", figures->power.board_w.mid, "W",
                             figures->power.board_w.verified ? Grade::c : Grade::d, figures->power.board_w.source});
  prepared.rows.clear();
  prepared.base_unit = number.base_unit;
  prepared.alternatives.clear();
  add_power_alternatives(scene, number, facility, facts, prepared);
  prepared.notes.push_back(
      fmt::format("{} of {}: boards and hosts at rated power times an average load, and the "
                  "building's overhead ({})",
                  number.name, prepared.gpu_seconds_of, facility));
  prepared.predict = [facts, value = number.value](const Drawn& drawn) { return std::vector{value(facts(drawn))}; };
  prepared.gpu_seconds = nullptr;  // the claim is about them already
  return prepared;
}

std::vector<SettingRule> energy_settings() {
  std::vector<SettingRule> rules = training_settings();
  rules.push_back({"gpu_hours"});
  rules.push_back({"facility", SettingKind::text});
  return rules;
}

std::vector<std::string> energy_assumption_keys() {
  std::vector<std::string> keys = training_assumption_keys();
  keys.insert(keys.end(), energy_keys().begin(), energy_keys().end());
  return keys;
}

std::string energy_hardware(const Claim& claim) { return claim.model.has("gpu_hours") ? "" : training_hardware(claim); }

const Register<Derivation> energy_derivation{{.name = "energy",
                                              .summary = "joules and dollars of GPU-hours, published or derived",
                                              .settings = energy_settings(),
                                              .assumption_keys = energy_assumption_keys(),
                                              .routes = training_routes(),
                                              .default_hardware = energy_hardware,
                                              .prepare = prepare_energy}};

}  // namespace
}  // namespace chokepoint
