#include "harness/caps/software_clock.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <thread>

namespace chokepoint {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;

// Measured wake-up lateness of a sleeping thread on a virtual machine: 50 to 80 us with a timer slack of 1
// ns.
constexpr std::chrono::microseconds kSpin{120};

}  // namespace

void sleep_then_spin_until(Moment moment) {
  // The default slack lets the kernel delay a wake-up by 50 us to batch timers; per thread, so once each.
  [[maybe_unused]] static thread_local const int slack = ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  if (moment - Moment::clock::now() > kSpin) std::this_thread::sleep_until(moment - kSpin);
  while (Moment::clock::now() < moment) {
  }
}

void SoftwareClock::engage() {
  const std::lock_guard lock(mutex_);
  busy_until_ = arrives_until_ = Moment::clock::now();
  tally_ = {};
  stretch_start_ = stretch_end_ = Moment::min();
  engaged_ = true;
}

void SoftwareClock::set_rate(double rate, double latency_s) {
  const std::lock_guard lock(mutex_);
  rate_ = rate;
  latency_s_ = latency_s;
}

void SoftwareClock::release() noexcept { engaged_ = false; }

void SoftwareClock::reset_tally() {
  const std::lock_guard lock(mutex_);
  tally_ = {};
  stretch_start_ = stretch_end_ = Moment::min();
}

double SoftwareClock::latency_pending_s(Moment until) const {
  if (stretch_start_ == Moment::min()) return 0.0;
  return std::max(0.0, duration<double>(std::min(until, arrives_until_) - busy_until_).count());
}

void SoftwareClock::close_stretch() {
  if (stretch_start_ == Moment::min()) return;
  tally_.active_s += duration<double>(stretch_end_ - stretch_start_).count();
  stretch_start_ = Moment::min();
}

Moment SoftwareClock::book(double amount, bool message) {
  const std::lock_guard lock(mutex_);
  const Moment now = Moment::clock::now();
  tally_.charged += amount;
  tally_.messages += message ? 1 : 0;
  tally_.reservations += 1;
  if (!engaged_) return now;
  if (now >= busy_until_) {
    tally_.latency_only_s += latency_pending_s(now);
    if (now >= stretch_end_) close_stretch();
    busy_until_ = now;
    if (stretch_start_ == Moment::min()) stretch_start_ = now;
  }
  busy_until_ += duration_cast<Moment::duration>(duration<double>(amount / rate_));
  const Moment ready =
      message ? busy_until_ + duration_cast<Moment::duration>(duration<double>(latency_s_)) : busy_until_;
  arrives_until_ = std::max(arrives_until_, ready);
  stretch_end_ = std::max(stretch_end_, ready);
  return ready;
}

void SoftwareClock::wait(Moment ready) {
  if (!engaged_) return;
  sleep_then_spin_until(ready);
  const std::lock_guard lock(mutex_);
  stretch_end_ = std::max(stretch_end_, Moment::clock::now());
}

ClockTally SoftwareClock::tally() const {
  const std::lock_guard lock(mutex_);
  ClockTally tally = tally_;
  tally.latency_only_s += latency_pending_s(Moment::max());
  if (stretch_start_ != Moment::min())
    tally.active_s += duration<double>(stretch_end_ - stretch_start_).count();
  return tally;
}

}  // namespace chokepoint
