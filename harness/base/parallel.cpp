#include "harness/base/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace chokepoint {
namespace {

int wanted_workers() {
  if (const char* text = std::getenv("CHOKEPOINT_THREADS"))
    if (const int threads = std::atoi(text); threads > 0) return std::min(threads, 1024);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1U, std::thread::hardware_concurrency());
}

thread_local int this_worker = -1;  // set while a body runs on this thread

class Pool {
 public:
  explicit Pool(int workers) {
    for (int worker = 1; worker < workers; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int workers() const { return static_cast<int>(threads_.size()) + 1; }

  void run(const std::function<void(int)>& body) {
    const std::lock_guard one_at_a_time(callers_);
    {
      const std::lock_guard lock(mutex_);
      body_ = &body;
      fault_ = nullptr;
      busy_.store(static_cast<int>(threads_.size()));
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    work(0);
    for (int spin = 0; busy_.load() != 0; ++spin)
      if (spin > kSpins) {
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return busy_.load() == 0; });
      }
    if (fault_) std::rethrow_exception(std::exchange(fault_, nullptr));
  }

 private:
  // Loops of kernels follow each other closely: spinning about 50 us before sleeping saves the wake-up of each.
  static constexpr int kSpins = 20000;

  void work(int worker) {
    const int before = std::exchange(this_worker, worker);
    try {
      (*body_)(worker);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!fault_) fault_ = std::current_exception();
    }
    this_worker = before;
  }

  void serve(int worker) {
    for (std::uint64_t seen = 0;;) {
      for (int spin = 0; generation_.load() == seen; ++spin)
        if (spin > kSpins) {
          std::unique_lock lock(mutex_);
          wake_.wait(lock, [&] { return generation_.load() != seen; });
        }
      {
        const std::lock_guard lock(mutex_);
        if (closing_) return;
        seen = generation_.load();
      }
      work(worker);
      const std::lock_guard lock(mutex_);
      if (busy_.fetch_sub(1) == 1) done_.notify_one();
    }
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  const std::function<void(int)>* body_ = nullptr;
  std::exception_ptr fault_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

Pool& pool() {
  static Pool pool(wanted_workers());
  return pool;
}

}  // namespace

int parallel_workers() {
  static const int workers = wanted_workers();
  return workers;
}

void parallel_run(const std::function<void(int)>& body) {
  if (this_worker >= 0 || parallel_workers() == 1) return body(std::max(0, this_worker));
  pool().run(body);
}

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t, int)>& body) {
  grain = std::max<std::int64_t>(1, grain);
  if (count <= 0) return;
  if (count <= grain || this_worker >= 0 || parallel_workers() == 1) {
    for (std::int64_t begin = 0; begin < count; begin += grain)
      body(begin, std::min(count, begin + grain), std::max(0, this_worker));
    return;
  }
  std::atomic<std::int64_t> next{0};
  parallel_run([&](int worker) {
    for (std::int64_t begin; (begin = next.fetch_add(grain)) < count;)
      body(begin, std::min(count, begin + grain), worker);
  });
}

}  // namespace chokepoint
