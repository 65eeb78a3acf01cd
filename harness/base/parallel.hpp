// How does work spread over the cores? One process-wide pool; loops are cut into chunks that workers take in turn.
#pragma once

#include <cstdint>
#include <functional>

namespace chokepoint {

// Workers of the pool, the caller included: CHOKEPOINT_THREADS if set, else the cores this process may run on.
int parallel_workers();

// Calls body(begin, end, worker) for disjoint chunks covering [0, count), each at most `grain` long, on all workers;
// worker is in [0, parallel_workers()). Returns when all is done. The first exception of a body is rethrown here.
// Called from within a body it runs serially on the calling worker.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end, int worker)>& body);

// Calls body(worker) once on every worker at the same time: for loops that schedule themselves.
void parallel_run(const std::function<void(int worker)>& body);

}  // namespace chokepoint
