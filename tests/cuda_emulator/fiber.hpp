// How do many flows of control share one thread of the host? Each has a stack of its own and hands over by name.
#pragma once

#include <cstddef>
#include <functional>

namespace chokepoint::emulator {

// A flow of control that calls `body` again and again, one call per `resume` to `done`. Not copyable: its stack
// knows its address.
class Fiber {
 public:
  explicit Fiber(std::function<void(Fiber&)> body);
  ~Fiber();  // of a suspended fiber: what lies on its stack is dropped, not destroyed
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();   // from the host's stack: runs until the fiber suspends
  void suspend();  // from the fiber: back to whoever resumed it

 private:
  struct State;
  static void enter();
  State* state_;
};

}  // namespace chokepoint::emulator
