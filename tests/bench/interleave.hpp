// How are kernels compared fairly? All of them in one process, in turn (A B C C B A ...), medians and ratios of medians.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace chokepoint::bench {

struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds = {};

  double median_s() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];  // `interleave` takes an odd number of rounds
  }
};

// Rounds until each contender has run for about `seconds_each`, at least 5 and at most 101, always odd. The threads of
// a library may go on spinning after its call and take a core from whoever comes next (OpenBLAS and OpenMP do, for
// tens of ms): with a pause, each waits that long and runs once untimed, to wake its own threads, before it is timed.
inline void interleave(std::vector<Contender>& contenders, double seconds_each = 1.0, double pause_s = 0.0) {
  const auto time_s = [](const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double slowest = 0.0;
  for (Contender& contender : contenders) {
    contender.run();  // first touch and dispatch
    slowest = std::max(slowest, time_s(contender.run));
  }
  const int rounds = std::clamp(static_cast<int>(seconds_each / slowest), 5, 101) | 1;
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      Contender& contender = contenders[round % 2 == 0 ? i : contenders.size() - 1 - i];
      if (pause_s > 0.0) {
        std::this_thread::sleep_for(std::chrono::duration<double>(pause_s));
        contender.run();
      }
      contender.seconds.push_back(time_s(contender.run));
    }
}

}  // namespace chokepoint::bench
