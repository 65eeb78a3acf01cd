#include "harness/claims/transfer_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

void require_within(const char* what, double value, double most) {
  if (value > 0.0 && value <= most) return;
  throw Error(Fault::config, fmt::format("{} is {}", what, value),
              most < 2.0 ? "write a share above 0 and up to 1" : "write a rate above 0");
}

}  // namespace

TransferTime transfer_time(const TransferRows& rows, double bytes_per_row, const WireRates& rates) {
  const double no_limit = std::numeric_limits<double>::max();
  require_within("the network's rate", rates.network_bytes_per_s, no_limit);
  require_within("the link's rate", rates.link_bytes_per_s, no_limit);
  require_within("the network's efficiency", rates.network_efficiency, 1.0);
  require_within("the link's efficiency", rates.link_efficiency, 1.0);
  require_within("the share that transfers get beside compute", rates.in_place, 1.0);
  const double network_s =
      rows.network.rows * bytes_per_row / (rates.network_bytes_per_s * rates.network_efficiency);
  const double link_s = rows.link.rows * bytes_per_row / (rates.link_bytes_per_s * rates.link_efficiency);
  return {std::max(network_s, link_s) / rates.in_place,
          network_s >= link_s ? Resource::network : Resource::link};
}

double link_to_network_bytes(const TransferRows& rows) { return rows.link.rows / rows.network.rows; }

}  // namespace chokepoint
