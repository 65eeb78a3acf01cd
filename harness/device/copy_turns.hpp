// Which copy of a problem does the next sample take? The longest unused one, so that no cache flatters it; where several
// take turns A B C C B A, each comes to every copy equally often, so that no target has the luckier arrays.
#pragma once

#include <cstddef>

namespace chokepoint {

class CopyTurns {
 public:
  explicit CopyTurns(std::size_t copies) : copies_(copies) {}

  void join() { ++takers_; }
  std::size_t next();  // was not taken by the last `copies` - 2 turns at least
  void start_over() { turn_ = 0; }  // copies come in order again

 private:
  std::size_t copies_, takers_ = 0;
  std::size_t turn_ = 0;
};

}  // namespace chokepoint
