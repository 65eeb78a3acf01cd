#include "harness/claims/energy.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

constexpr double kWattsPerKw = 1000.0;

std::string factor_text(const Estimate& factor, std::string_view name) {
  const std::string range =
      factor.is_exact() ? "" : fmt::format(" [{:.4g}, {:.4g}]", factor.low, factor.high);
  return fmt::format("{:.4g} {}{}{}", factor.mid, name, range, factor.verified ? "" : " (unverified)");
}

}  // namespace

PowerModel power_model(const Profile& profile, const CostBook& book, const std::string& facility) {
  const std::optional<Figure> board = power(profile);
  if (!board)
    throw Error(Fault::config, fmt::format("profile {} has no board power", profile.id),
                fmt::format("add power_w.tdp to {}", profile.path));
  const CostMachine* machine = find_machine(book, profile.id);
  if (machine == nullptr)
    throw Error(Fault::config, fmt::format("cost book {} has no host power for {}", book.id, profile.id),
                fmt::format("add the machine to a new book beside {}", book.path));
  Estimate board_w = exactly(board->value, board->source);
  board_w.verified = board->verified;
  return {std::move(board_w), machine->host_w, book.load_share, find_facility(book, facility).pue};
}

Estimate facility_w(const PowerModel& model) {
  return product({sum({model.board_w, model.host_w}), model.load_share, model.pue});
}

std::string basis_text(const PowerModel& model) {
  return fmt::format("({} + {}) x {} x {}", factor_text(model.board_w, "W board"),
                     factor_text(model.host_w, "W host"), factor_text(model.load_share, "load"),
                     factor_text(model.pue, "PUE"));
}

Estimate facility_j(const std::vector<PhaseEnergy>& phases, const PowerModel& model) {
  Estimate board_j = exactly(0.0);
  double time_s = 0.0;
  for (const PhaseEnergy& phase : phases) {
    time_s += phase.time_s;
    board_j.mid += phase.time_s * phase.board_w.mid;
    board_j.low += phase.time_s * phase.board_w.low;
    board_j.high += phase.time_s * phase.board_w.high;
    board_j.verified = board_j.verified && phase.board_w.verified;
  }
  const Estimate host_j = product({exactly(time_s), model.host_w, model.load_share});
  return product({sum({board_j, host_j}), model.pue});
}

Estimate kwh_of_gpu_hours(const Estimate& gpu_hours, const PowerModel& model) {
  return product({gpu_hours, facility_w(model), exactly(1.0 / kWattsPerKw)});
}

}  // namespace chokepoint
