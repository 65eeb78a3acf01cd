// What `history` says in a build without SQLite. With it this file is left out.
#include "harness/base/error.hpp"
#include "harness/track/history.hpp"

namespace chokepoint {

std::unique_ptr<History> open_history(const std::string&, const HistoryAccess&) {
  throw Error(Fault::unsupported, "this build has no SQLite, which the history is kept in",
              "install it (Debian, Ubuntu: apt-get install libsqlite3-dev), then configure and build again");
}

std::string history_support() {
  return "not in this build, `history` cannot run; apt-get install libsqlite3-dev, then configure and build again";
}

}  // namespace chokepoint
