#include "harness/track/change_points.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/base/error.hpp"
#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// On levels in [low, high]: cost = a level^2 + b level + c, the last segment beginning at `begin`.
struct Piece {
  double low = 0.0, high = 0.0;
  double a = 0.0, b = 0.0, c = 0.0;
  std::size_t begin = 0;

  double at(double level) const { return (a * level + b) * level + c; }
  double best_level() const { return a > 0.0 ? std::clamp(-b / (2 * a), low, high) : low; }
};

using Cost = std::vector<Piece>;  // pieces side by side, from the smallest value of the series to the largest

struct Best {
  double cost = kInfinity, level = 0.0;
  std::size_t begin = 0;
};

Best best_of(const Cost& cost) {
  Best best;
  for (const Piece& piece : cost) {
    const double level = piece.best_level(), value = piece.at(level);
    if (value < best.cost) best = {value, level, piece.begin};
  }
  return best;
}

void append(Cost& cost, Piece piece) {
  if (!(piece.high > piece.low) && !(cost.empty() && piece.high == piece.low)) return;
  Piece* last = cost.empty() ? nullptr : &cost.back();
  if (last && last->begin == piece.begin && last->a == piece.a && last->b == piece.b && last->c == piece.c)
    last->high = piece.high;
  else
    cost.push_back(piece);
}

// min(cost, constant), where the constant is that of a segment which begins at `begin`.
Cost at_most(const Cost& cost, double constant, std::size_t begin) {
  Cost result;
  for (const Piece& piece : cost) {
    const Piece flat{piece.low, piece.high, 0.0, 0.0, constant, begin};
    // The quadratic lies below the constant between its roots.
    double from = piece.low, to = piece.high;
    if (piece.a > 0.0) {
      const double middle = -piece.b / (2 * piece.a), square = middle * middle - (piece.c - constant) / piece.a;
      const double reach = square > 0.0 ? std::sqrt(square) : -1.0;
      from = reach < 0.0 ? piece.high : std::clamp(middle - reach, piece.low, piece.high);
      to = reach < 0.0 ? piece.high : std::clamp(middle + reach, piece.low, piece.high);
    } else if (piece.c >= constant) {
      from = to = piece.high;
    }
    Piece before = flat, inside = piece, after = flat;
    before.high = inside.low = from;
    inside.high = after.low = to;
    append(result, before);
    append(result, inside);
    append(result, after);
  }
  return result;
}

// Adds min((x - level)^2, bound).
void add_loss(Cost& cost, double x, double bound) {
  const double reach = std::sqrt(bound);
  Cost result;
  for (const Piece& piece : cost) {
    const double from = std::clamp(x - reach, piece.low, piece.high), to = std::clamp(x + reach, piece.low, piece.high);
    Piece before = piece, near = piece, after = piece;
    before.high = near.low = from;
    near.high = after.low = to;
    before.c += bound;
    after.c += bound;
    near.a += 1.0;
    near.b -= 2 * x;
    near.c += x * x;
    append(result, before);
    append(result, near);
    append(result, after);
  }
  cost = std::move(result);
}

}  // namespace

Segmentation find_segments(std::span<const double> series, double deviation, double penalty) {
  require_finite(series);
  if (!(deviation > 0.0 && penalty > 0.0))
    throw Error(Fault::config, fmt::format("deviation {} and penalty {} have to be above 0", deviation, penalty),
                "give the deviation of one value");
  const std::size_t n = series.size();
  if (n == 0) return {};
  if (std::all_of(series.begin(), series.end(), [&](double x) { return x == series.front(); }))
    return {.segments = {{0, n, series.front()}}, .cost = 0.0};
  std::vector<double> scaled(series.begin(), series.end());
  const double origin = series.front();  // small numbers square without loss
  for (double& value : scaled) value = (value - origin) / deviation;
  const auto [least, most] = std::minmax_element(scaled.begin(), scaled.end());
  Cost cost = {{*least, *most, 0.0, 0.0, 0.0, 0}};
  std::vector<Best> best(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0) cost = at_most(cost, best[i - 1].cost + penalty, i);
    add_loss(cost, scaled[i], kOutlier * kOutlier);
    best[i] = best_of(cost);
  }
  Segmentation result{.segments = {}, .cost = best[n - 1].cost};
  for (std::size_t end = n; end > 0; end = result.segments.back().begin)
    result.segments.push_back({best[end - 1].begin, end, best[end - 1].level * deviation + origin});
  std::reverse(result.segments.begin(), result.segments.end());
  return result;
}

double default_penalty(std::size_t n) {
  constexpr double kMoreThanTwoOutliers = 2 * kOutlier * kOutlier + 1;
  return std::max(kMoreThanTwoOutliers, 4 + 3 * std::log(static_cast<double>(std::max<std::size_t>(n, 1))));
}

double neighbour_deviation(std::span<const double> series) {
  std::vector<double> distances;
  for (std::size_t i = 1; i < series.size(); ++i) distances.push_back(std::abs(series[i] - series[i - 1]));
  constexpr double kNormal = 0.6744897501960817 * 1.4142135623730951;  // median |difference of two| of a unit normal
  return distances.empty() ? 0.0 : *median(distances) / kNormal;
}

}  // namespace chokepoint
