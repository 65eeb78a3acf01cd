// How long does one all-to-all take on a machine's two kinds of wire?
//
// t = max(network rows x bytes / (rate x efficiency), link rows x bytes / (rate x efficiency)) / in_place.
// Both wires work at once: rows for other nodes are forwarded over the link as they arrive.
#pragma once

#include "harness/base/resource.hpp"
#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {

struct WireRates {
  double network_bytes_per_s = 0.0, link_bytes_per_s = 0.0;  // per direction, as the maker states them
  double network_efficiency = 0.8,
         link_efficiency = 0.8;  // of which kernels alone on the machine get this share
  double in_place = 1.0;         // and beside compute this share of that
};

struct TransferTime {
  double time_s = 0.0;
  Resource bound = Resource::network;
};

// Throws Error{config} when a rate or a share is not above 0, or a share above 1.
TransferTime transfer_time(const TransferRows& rows, double bytes_per_row, const WireRates& rates);

// Link over network: the link binds only where its rate is less than this times the network's.
double link_to_network_bytes(const TransferRows& rows);

}  // namespace chokepoint
