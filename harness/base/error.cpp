#include "harness/base/error.hpp"

#include <utility>

namespace chokepoint {

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::config: return "config";
    case Fault::unsupported: return "unsupported";
    case Fault::cap_not_held: return "cap_not_held";
    case Fault::wrong_result: return "wrong_result";
    case Fault::device: return "device";
    case Fault::io: return "io";
  }
  return "unknown";
}

Error::Error(Fault fault, std::string message, std::string remedy, std::source_location at)
    : fault_(fault), message_(std::move(message)), remedy_(std::move(remedy)), at_(at) {
  text_ = remedy_.empty() ? message_ : message_ + "; " + remedy_;
}

}  // namespace chokepoint
