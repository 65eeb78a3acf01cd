// Where does a value lie on an axis, and which round values are worth a tick?
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace chokepoint {

enum class Spacing { linear, logarithmic };

// Values low to high, low < high (both above 0 when logarithmic), on pixels from to `to`.
struct Scale {
  double low = 0.0, high = 1.0;
  Spacing spacing = Spacing::linear;
  double from = 0.0, to = 1.0;

  double at(double value) const;  // not clamped
  bool holds(double value) const;
};

// Around these values with room at both ends, widened to round numbers (1, 2, 5 times a power of ten). A single value
// gets a scale too. Not finite values, and those not above 0 when logarithmic, are passed over.
Scale scale_around(const std::vector<double>& values, Spacing spacing, double from, double to);

// Round values inside the scale, at most about `most`: 1, 2 or 5 times a power of ten.
std::vector<double> ticks_of(const Scale& scale, int most);

// "0.05", "1", "20 k", "3 T": as short as it stays exact for a tick.
std::string tick_text(double value, int digits = 4);
// Of neighbours, with as many digits as tell them apart.
std::vector<std::string> tick_texts(const std::vector<double>& ticks);

}  // namespace chokepoint
