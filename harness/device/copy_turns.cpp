#include "harness/device/copy_turns.hpp"

#include <numeric>

namespace chokepoint {

// In order, and one is passed over whenever takers would meet the same copies again: after as many turns as both blocks
// and copies divide. With two copies there is nothing to pass over: mirrored blocks give both to everybody.
std::size_t CopyTurns::next() {
  const bool meet_again = takers_ > 1 && copies_ > 2;
  const std::size_t passed_over = meet_again ? turn_ / std::lcm(copies_, 2 * takers_) : 0;
  return (turn_++ + passed_over) % copies_;
}

}  // namespace chokepoint
