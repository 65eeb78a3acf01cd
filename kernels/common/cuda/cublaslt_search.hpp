// Which of cuBLASLt's algorithms does a product take? The fastest that its heuristic suggests for several workspaces,
// kept for all products that the library would answer the same. No GPU here: who searches brings the stopwatch.
#pragma once

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "kernels/common/cuda/cublaslt.hpp"

namespace chokepoint {

// Workspaces that the heuristic is asked with, in this order. 32 MiB is what NVIDIA recommends for Hopper (cuBLAS
// documentation, cublasSetWorkspace; pytorch/pytorch#120925 takes it too), so its first answer is what a user of the
// library gets. Twice of that lets products be cut along k more often; without any, they are not cut at all.
inline constexpr std::array<std::size_t, 3> kWorkspaceBudgets = {std::size_t{32} << 20, std::size_t{64} << 20, 0};
inline constexpr std::size_t kWorkspaceBytes = *std::max_element(kWorkspaceBudgets.begin(), kWorkspaceBudgets.end());

// Suggestions for each workspace, and launches that are timed of each suggestion: as NVIDIA's own example of tuning
// (NVIDIA/CUDALibrarySamples@0d3f70c, LtSgemmSimpleAutoTuning).
inline constexpr int kSuggestions = 8, kTimedLaunches = 5;

// Fewer launches are timed where they take longer than that together, which a clock's steps of microseconds do not ask
// for, and after so long no further suggestion is tried. Ours: all 24 of a launch of 1 ms, and of the recommended
// workspace, which comes first, all of a launch of 10 ms; a probe whose multiprocessors are looked for meets the search
// once for each number of them.
inline constexpr double kMostTimed_s = 5e-3, kMostSearch_s = 0.2;

// Of a suggestion, where one launch takes that long.
inline int timed_launches(double launch_s) {
  return launch_s > 0.0 ? std::clamp(static_cast<int>(std::min(kMostTimed_s / launch_s, 1e6)), 1, kTimedLaunches)
                        : kTimedLaunches;
}

struct CublasLtSuggestion {
  cublasLtMatmulAlgo_t algorithm = {};
  std::size_t workspace_bytes = 0;  // what it needs
  std::size_t budget_bytes = 0;     // what the heuristic was offered
  int rank = 0, of = 0;             // place in its answer, from 1
};

// Answers to kWorkspaceBudgets, in that order; those that are already there, or cannot run, are left out.
inline std::vector<CublasLtSuggestion> distinct_suggestions(
    const std::vector<std::vector<cublasLtMatmulHeuristicResult_t>>& answers) {
  std::vector<CublasLtSuggestion> all;
  for (std::size_t budget = 0; budget < answers.size(); ++budget)
    for (std::size_t i = 0; i < answers[budget].size(); ++i) {
      const cublasLtMatmulHeuristicResult_t& one = answers[budget][i];
      const auto is_known = [&](const CublasLtSuggestion& known) {
        return std::memcmp(&known.algorithm, &one.algo, sizeof one.algo) == 0;
      };
      if (one.state != CUBLAS_STATUS_SUCCESS || std::any_of(all.begin(), all.end(), is_known)) continue;
      all.push_back({one.algo, one.workspaceSize, kWorkspaceBudgets[budget], static_cast<int>(i) + 1,
                     static_cast<int>(answers[budget].size())});
    }
  return all;
}

struct CublasLtChoice {
  CublasLtSuggestion taken;
  int suggested = 0, tried = 0;  // distinct ones of all workspaces
  // Time of the first suggestion for the first workspace, over that of the one taken; absent where it did not run.
  std::optional<double> default_over_best;
};

// Seconds per launch; empty where it does not run.
using TimeSuggestion = std::function<std::optional<double>(const CublasLtSuggestion&)>;

// The library's default and the fastest once more in turn (A B B A), since the first that is timed meets a GPU that is
// cold: their times' ratio.
inline std::optional<double> compared_in_turn(const CublasLtSuggestion& first, const CublasLtSuggestion& other,
                                              const TimeSuggestion& time_s) {
  const auto first_s = time_s(first), other_s = time_s(other), other_again_s = time_s(other),
             first_again_s = time_s(first);
  if (!first_s || !other_s || !other_again_s || !first_again_s) return std::nullopt;
  return (*first_s + *first_again_s) / (*other_s + *other_again_s);
}

// Tries suggestions in their order until `most_s` have passed on `now_s`; at least the first that runs. Ties between
// the library's default and the fastest go to the default. Empty where none runs.
inline std::optional<CublasLtChoice> fastest_suggestion(const std::vector<CublasLtSuggestion>& suggestions,
                                                        const TimeSuggestion& time_s,
                                                        const std::function<double()>& now_s, double most_s) {
  const CublasLtSuggestion *best = nullptr, *usual = nullptr;
  double best_s = 0.0;
  CublasLtChoice choice{.suggested = static_cast<int>(suggestions.size())};
  const double start_s = now_s();
  for (const CublasLtSuggestion& one : suggestions) {
    if (best != nullptr && now_s() - start_s > most_s) break;
    ++choice.tried;
    const std::optional<double> took_s = time_s(one);
    if (!took_s) continue;
    if (one.rank == 1 && one.budget_bytes == kWorkspaceBudgets.front()) usual = &one;
    if (best == nullptr || *took_s < best_s) best = &one, best_s = *took_s;
  }
  if (best == nullptr) return std::nullopt;
  if (usual != nullptr) choice.default_over_best = 1.0;
  if (usual != nullptr && usual != best) {
    const std::optional<double> ratio = compared_in_turn(*usual, *best, time_s);
    if (ratio && *ratio <= 1.0)
      best = usual;
    else
      choice.default_over_best = ratio;
  }
  choice.taken = *best;
  return choice;
}

// All that a choice hangs on.
struct CublasLtKey {
  int device = 0;
  int multiprocessors = 0;          // that the product's lane reaches
  std::size_t workspace_bytes = 0;  // the largest that is offered
  std::size_t alignment_bytes = 0;  // of all arrays, up to what the heuristic takes for granted
  std::vector<std::uint64_t> told;  // shapes, types, layouts, epilogue, scales
  auto operator<=>(const CublasLtKey&) const = default;
};

// The heuristic takes 256 bytes for granted (cuBLAS documentation, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES).
inline std::size_t common_alignment(const GemmTask& task) {
  const auto bits = reinterpret_cast<std::uintptr_t>(task.a) | reinterpret_cast<std::uintptr_t>(task.b) |
                    reinterpret_cast<std::uintptr_t>(task.c) | 256U;
  return bits & (~bits + 1);
}

inline CublasLtKey cublaslt_key(const GemmTask& task, const CublasLtProduct& product, int device,
                                int multiprocessors) {
  return {device, multiprocessors, kWorkspaceBytes, common_alignment(task), product.told()};
}

// Choices made so far in this process: copies of a problem take the same.
class CublasLtChoices {
 public:
  CublasLtChoice known_or(const CublasLtKey& key, const std::function<CublasLtChoice()>& search) {
    const std::scoped_lock lock(mutex_);
    const auto found = known_.find(key);
    return found != known_.end() ? found->second : known_[key] = search();
  }

 private:
  std::mutex mutex_;
  std::map<CublasLtKey, CublasLtChoice> known_;
};

// What one product takes now, for the multiprocessors that its lane reached when that was chosen.
class CublasLtTaken {
 public:
  // Chooses for `reached`, unless that is what the choice is for, or nothing may be timed now; then it stays. A choice
  // that throws leaves the one before.
  void follow(int reached, bool may_time, const std::function<CublasLtChoice(int reached)>& choose) {
    if (reached == multiprocessors_ || !may_time) return;
    choice_ = choose(reached);
    multiprocessors_ = reached;
  }

  const CublasLtChoice& choice() const { return choice_; }
  int multiprocessors() const { return multiprocessors_; }

 private:
  int multiprocessors_ = 0;
  CublasLtChoice choice_;
};

}  // namespace chokepoint
