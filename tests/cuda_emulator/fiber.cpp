#include "tests/cuda_emulator/fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__x86_64__)
// Saves what a callee has to preserve (System V ABI, x86-64), and takes over another stack. swapcontext would do,
// but asks the kernel for the signal mask each time: fifty times the cost.
extern "C" void chokepoint_emulator_switch(void** save_stack, void* load_stack);
asm(R"(
.text
.globl chokepoint_emulator_switch
.type chokepoint_emulator_switch, @function
chokepoint_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size chokepoint_emulator_switch, .-chokepoint_emulator_switch
)");
#endif

namespace chokepoint::emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStackBytes = 256 * 1024;  // sanitizers pad every frame
#else
constexpr std::size_t kStackBytes = 64 * 1024;
#endif

// One page below stays forbidden, so that an overflow faults instead of spilling into a neighbour.
std::byte* map_stack() {
  const auto guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0) throw std::bad_alloc();
  return static_cast<std::byte*>(memory) + guard;
}

void unmap_stack(std::byte* stack) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, kStackBytes);  // frames that were dropped
#endif
  const auto guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  munmap(stack - guard, guard + kStackBytes);
}

}  // namespace

struct Fiber::State {
  std::function<void(Fiber&)> body;
  Fiber* fiber = nullptr;
  std::byte* stack = nullptr;
#if defined(__x86_64__)
  void* own = nullptr;   // stack pointer while suspended
  void* host = nullptr;  // stack pointer of whoever resumed it
#else
  ucontext_t own{}, host{};
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* own_fake = nullptr;
  void* host_fake = nullptr;
  const void* host_stack = nullptr;
  std::size_t host_stack_bytes = 0;
#endif
#if defined(__SANITIZE_THREAD__)
  void* own_tsan = nullptr;
  void* host_tsan = nullptr;
#endif
};

namespace {
void* entering = nullptr;  // Fiber::State of the fiber that starts: an entry function has no arguments
}  // namespace

void Fiber::enter() {
  State& state = *static_cast<State*>(entering);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &state.host_stack, &state.host_stack_bytes);
#endif
  for (;;) {
    state.body(*state.fiber);
    state.fiber->suspend();
  }
}

Fiber::Fiber(std::function<void(Fiber&)> body) : state_(new State) {
  state_->body = std::move(body);
  state_->fiber = this;
  state_->stack = map_stack();
#if defined(__x86_64__)
  // As the switch leaves a stack: six registers, then where to return to; the ABI wants the stack pointer at
  // 8 modulo 16 on entry.
  auto* top = reinterpret_cast<std::uintptr_t*>(state_->stack + kStackBytes) - 2;
  *top = reinterpret_cast<std::uintptr_t>(&Fiber::enter);
  state_->own = top - 6;
#else
  getcontext(&state_->own);
  state_->own.uc_stack.ss_sp = state_->stack;
  state_->own.uc_stack.ss_size = kStackBytes;
  state_->own.uc_link = nullptr;
  makecontext(&state_->own, &Fiber::enter, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  state_->own_tsan = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(state_->own_tsan);
#endif
  unmap_stack(state_->stack);
  delete state_;
}

void Fiber::resume() {
  State& state = *state_;
  entering = state_;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&state.host_fake, state.stack, kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
  state.host_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(state.own_tsan, 0);
#endif
#if defined(__x86_64__)
  chokepoint_emulator_switch(&state.host, state.own);
#else
  swapcontext(&state.host, &state.own);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(state.host_fake, nullptr, nullptr);
#endif
}

void Fiber::suspend() {
  State& state = *state_;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&state.own_fake, state.host_stack, state.host_stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(state.host_tsan, 0);
#endif
#if defined(__x86_64__)
  chokepoint_emulator_switch(&state.own, state.host);
#else
  swapcontext(&state.own, &state.host);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(state.own_fake, &state.host_stack, &state.host_stack_bytes);
#endif
}

}  // namespace chokepoint::emulator
