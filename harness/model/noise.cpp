#include "harness/model/noise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

using Stream = std::function<double()>;

// Draws in order from one seed. Copies go on from where the original was.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : seed_(seed) {}

  double unit() { return random_unit(seed_, 0, index_++); }  // [0, 1)

  double normal() {  // Box and Muller 1958, one of the pair
    const double radius = std::sqrt(-2.0 * std::log(1.0 - unit()));
    return radius * std::cos(2.0 * std::numbers::pi * unit());
  }

  double student_t(double df) {  // Bailey 1994: Box and Muller's method with a t radius
    const double radius = std::sqrt(df * (std::pow(1.0 - unit(), -2.0 / df) - 1.0));
    return radius * std::cos(2.0 * std::numbers::pi * unit());
  }

  bool happens(double probability) { return unit() < probability; }

 private:
  std::uint64_t seed_, index_ = 0;
};

double lognormal(Draws& draws, double sigma) { return std::exp(sigma * draws.normal()); }

// Where a continuous distribution function crosses one half, by bisection in [low, high].
template <class Cdf>
double median_of(const Cdf& cdf, double low, double high) {
  while (high - low > 1e-12) {
    const double middle = (low + high) / 2;
    (cdf(middle) < 0.5 ? low : high) = middle;
  }
  return (low + high) / 2;
}

double lognormal_cdf(double x, double centre, double sigma) {
  return normal_cdf(std::log(x / centre) / sigma);
}

const std::string kSymmetric = "by symmetry of the logarithm";
const std::string kClosed = "closed form of the stationary distribution, solved by bisection";

NoiseModel white() {
  return {"white", "independent log-normal, 2 %", 1.0, kSymmetric, [](std::uint64_t seed) -> Stream {
            return [draws = Draws(seed)]() mutable { return lognormal(draws, 0.02); };
          }};
}

NoiseModel bimodal() {
  constexpr double kSlowShare = 0.1, kSlow = 1.08, kSigma = 0.005;
  const auto cdf = [](double x) {
    return (1 - kSlowShare) * lognormal_cdf(x, 1.0, kSigma) + kSlowShare * lognormal_cdf(x, kSlow, kSigma);
  };
  return {"bimodal", "independent, every tenth sample 8 % slower", median_of(cdf, 0.9, 1.2), kClosed,
          [](std::uint64_t seed) -> Stream {
            return [draws = Draws(seed)]() mutable {
              const double centre = draws.happens(kSlowShare) ? kSlow : 1.0;
              return centre * lognormal(draws, kSigma);
            };
          }};
}

NoiseModel heavy_tailed() {
  return {"heavy_tailed", "independent, logarithm is 1 % of a t with 2.5 degrees of freedom", 1.0, kSymmetric,
          [](std::uint64_t seed) -> Stream {
            return [draws = Draws(seed)]() mutable { return std::exp(0.01 * draws.student_t(2.5)); };
          }};
}

NoiseModel autoregressive() {
  constexpr double kPhi = 0.95, kSigma = 0.01;
  return {"autoregressive", "logarithm is AR(1) with phi 0.95, 1 % (time 39 samples)", 1.0, kSymmetric,
          [](std::uint64_t seed) -> Stream {
            Draws draws(seed);
            const double start = draws.normal();
            return [draws, state = start]() mutable {
              state = kPhi * state + std::sqrt(1 - kPhi * kPhi) * draws.normal();
              return std::exp(kSigma * state);
            };
          }};
}

NoiseModel throttle() {
  constexpr double kLeaveFast = 1.0 / 60, kLeaveSlow = 1.0 / 40, kSlow = 1.06, kSigma = 0.01;
  constexpr double kSlowShare = kLeaveFast / (kLeaveFast + kLeaveSlow);
  const auto cdf = [](double x) {
    return (1 - kSlowShare) * lognormal_cdf(x, 1.0, kSigma) + kSlowShare * lognormal_cdf(x, kSlow, kSigma);
  };
  return {"throttle", "two clocks 6 % apart, about 50 samples each (60 fast, 40 slow), 1 % around either",
          median_of(cdf, 0.9, 1.2), kClosed, [](std::uint64_t seed) -> Stream {
            Draws draws(seed);
            const bool start = draws.happens(kSlowShare);
            return [draws, slow = start]() mutable {
              if (draws.happens(slow ? kLeaveSlow : kLeaveFast)) slow = !slow;
              return (slow ? kSlow : 1.0) * lognormal(draws, kSigma);
            };
          }};
}

// The height of a burst is log-normal, so the stationary distribution is an integral over it (midpoint rule).
NoiseModel bursts() {
  constexpr double kStart = 1.0 / 200, kEnd = 1.0 / 5, kSigma = 0.02, kShare = kStart / (kStart + kEnd);
  static constexpr double kHeight = 0.05, kHeightSigma = 0.7, kHighest = 0.15;
  const auto height = [](double z) { return std::min(kHighest, kHeight * std::exp(kHeightSigma * z)); };
  const auto cdf = [height](double x) {
    constexpr int kSteps = 200;
    double burst = 0.0;
    for (int step = 0; step < kSteps; ++step)
      burst += lognormal_cdf(x, 1.0 + height(normal_quantile((step + 0.5) / kSteps)), kSigma) / kSteps;
    return (1 - kShare) * lognormal_cdf(x, 1.0, kSigma) + kShare * burst;
  };
  return {"bursts",
          "log-normal 2 %; every 200 samples a burst of about 5, log-normal around +5 %, at most +15 %",
          median_of(cdf, 0.9, 1.2), kClosed, [height](std::uint64_t seed) -> Stream {
            Draws draws(seed);
            const double start = draws.happens(kShare) ? height(draws.normal()) : 0.0;
            return [draws, height, level = start]() mutable {
              if (draws.happens(level > 0.0 ? kEnd : kStart))
                level = level > 0.0 ? 0.0 : height(draws.normal());
              return (1.0 + level) * lognormal(draws, kSigma);
            };
          }};
}

NoiseModel sawtooth() {
  constexpr double kPeriod = 97.3, kRise = 0.03, kSigma = 0.005;
  return {"sawtooth", "rises by 3 % over 97.3 samples and falls back, random phase, 0.5 % normal noise",
          1.0 + kRise / 2, "by symmetry of both parts", [](std::uint64_t seed) -> Stream {
            Draws draws(seed);
            const double start = draws.unit();
            return [draws, phase = start]() mutable {
              phase += 1.0 / kPeriod;
              phase -= std::floor(phase);
              return 1.0 + kRise * phase + kSigma * draws.normal();
            };
          }};
}

NoiseModel quantised() {
  constexpr double kTick = 0.01, kCentre = 1.003, kSigma = 0.02;
  return {"quantised", "log-normal 2 % read by a timer with ticks of 1 %",
          std::round(kCentre / kTick) * kTick, "the tick nearest to the median before rounding",
          [](std::uint64_t seed) -> Stream {
            return [draws = Draws(seed)]() mutable {
              return std::round(kCentre * lognormal(draws, kSigma) / kTick) * kTick;
            };
          }};
}

NoiseModel warmed_up() {
  constexpr double kCold = 0.05, kTime = 200, kWarmUp = 5 * kTime, kSigma = 0.02;
  return {"warmed_up", "log-normal 2 % on a drift of 5 % that decays over 200 samples, after 5 such times",
          1.0, "limit of the drift", [](std::uint64_t seed) -> Stream {
            return [draws = Draws(seed), time = kWarmUp]() mutable {
              return (1.0 + kCold * std::exp(-time++ / kTime)) * lognormal(draws, kSigma);
            };
          }};
}

}  // namespace

const std::vector<NoiseModel>& noise_models() {
  static const std::vector<NoiseModel> models = {white(),          bimodal(),   heavy_tailed(),
                                                 autoregressive(), throttle(),  bursts(),
                                                 sawtooth(),       quantised(), warmed_up()};
  return models;
}

const NoiseModel& find_noise_model(const std::string& name) {
  std::vector<std::string> known;
  for (const NoiseModel& model : noise_models()) {
    if (model.name == name) return model;
    known.push_back(model.name);
  }
  throw Error(Fault::config, fmt::format("noise model \"{}\" is unknown", name), suggestion(name, known));
}

}  // namespace chokepoint
