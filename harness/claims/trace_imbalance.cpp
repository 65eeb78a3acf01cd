#include "harness/claims/trace_imbalance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "harness/base/error.hpp"
#include "harness/base/routing_trace.hpp"
#include "harness/claims/once_per_folder.hpp"
#include "harness/claims/routing_volumes.hpp"
#include "harness/claims/uncertainty.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kBlocks = 16;  // of neighbouring tokens, which choose alike

void require_same_experts(const RoutingTrace& trace, const ExpertRanks& ranks) {
  if (trace.experts == ranks.experts && trace.top_k == ranks.top_k) return;
  throw Error(Fault::config,
              fmt::format("the trace has {} of {} experts per token, the model {} of {}", trace.top_k, trace.experts,
                          ranks.top_k, ranks.experts),
              "name a trace of this model");
}

double busiest_over_mean(const std::vector<double>& rows) {
  double sum = 0.0;
  for (const double count : rows) sum += count;
  return *std::max_element(rows.begin(), rows.end()) / (sum / static_cast<double>(rows.size()));
}

// Relative standard error by leaving out one block of the trace at a time (the jackknife).
double relative_error(const RoutingTrace& trace, const ExpertRanks& ranks, const std::vector<double>& all) {
  const std::int64_t blocks = std::min(kBlocks, trace.tokens);
  if (blocks < 2) return 0.0;
  std::vector<double> without;
  const std::span<const std::int32_t> ids(trace.ids);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const auto begin = static_cast<std::size_t>(trace.tokens * block / blocks * trace.top_k);
    const auto end = static_cast<std::size_t>(trace.tokens * (block + 1) / blocks * trace.top_k);
    std::vector<double> rest = all;
    const std::vector<double> left_out = rows_of_gpus(ids.subspan(begin, end - begin), ranks.experts, ranks.ranks);
    for (std::size_t gpu = 0; gpu < rest.size(); ++gpu) rest[gpu] -= left_out[gpu];
    without.push_back(std::log(busiest_over_mean(rest)));
  }
  double mean = 0.0, squares = 0.0;
  for (const double value : without) mean += value / static_cast<double>(blocks);
  for (const double value : without) squares += (value - mean) * (value - mean);
  return std::sqrt(squares * static_cast<double>(blocks - 1) / static_cast<double>(blocks));
}

// Busiest of `gpus` over the mean when rows are spread evenly and only chance is left: the largest of as many normal
// deviates (Blom, Statistical Estimates and Transformed Beta-Variables, 1958).
double by_chance(double rows_per_gpu, std::int64_t gpus) {
  const double count = static_cast<double>(gpus);
  return 1.0 + normal_quantile((count - 0.375) / (count + 0.25)) / std::sqrt(rows_per_gpu);
}

std::string source_of(const std::string& path, const RoutingTrace& trace) {
  return fmt::format("{}: {} tokens, {}", path, trace.tokens,
                     trace.recorded_from.empty() ? "not said to be recorded from a model: " + trace.summary
                                                 : "recorded from " + trace.recorded_from);
}

}  // namespace

void replace_by_trace(const std::string& path, Prepared& prepared) {
  const RoutingTrace& trace = once_per_folder<RoutingTrace>(path, load_routing_trace);
  const ExpertRanks& ranks = prepared.expert_ranks.value();
  require_same_experts(trace, ranks);
  const std::vector<double> rows = rows_of_gpus(trace.ids, ranks.experts, ranks.ranks);
  const double factor = imbalance_of(trace.ids, ranks.experts, ranks.ranks, path).factor,
               error = relative_error(trace, ranks, rows);
  const bool is_recorded = !trace.recorded_from.empty();
  for (Assumption& assumption : prepared.assumptions)
    if (assumption.key == ranks.imbalance_key)
      assumption = {assumption.key,
                    factor,
                    std::max(1.0, factor * std::exp(-kSigmasOf90Percent * error)),
                    factor * std::exp(kSigmasOf90Percent * error),
                    is_recorded ? "trace" : "prior",
                    source_of(path, trace),
                    assumption.neutral};
  prepared.inputs.push_back({"routing.trace", factor, fmt::format("busiest of {} GPUs over the mean", ranks.ranks),
                             is_recorded ? Grade::c : Grade::d, source_of(path, trace)});
  const double rows_per_gpu = static_cast<double>(trace.ids.size()) / static_cast<double>(ranks.ranks);
  prepared.notes.push_back(
      fmt::format("{}: busiest of {} GPUs over the mean {:.3g}; {:.0f} rows per GPU that were spread "
                  "evenly would show {:.3g} by chance",
                  path, ranks.ranks, factor, rows_per_gpu, by_chance(rows_per_gpu, ranks.ranks)));
}

}  // namespace chokepoint
