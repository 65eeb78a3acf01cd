// What does a fault of a GPU library mean, and what can be done about it? Codes are those of the CUDA runtime.
#pragma once

#include <source_location>
#include <string>

namespace chokepoint {

// The next step after CUDA runtime error `code`.
std::string remedy_for_gpu(int code);

// Throws Error{device}: "CUDA: <text> (<code>)" with the remedy, unless `code` is 0.
void check_gpu(int code, const char* text, std::source_location at = std::source_location::current());

}  // namespace chokepoint
