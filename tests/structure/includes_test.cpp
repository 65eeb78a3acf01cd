// Structure: the table of who may include whom, read from the sources. A folder that is not in the table
// fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace chokepoint {
namespace {

namespace fs = std::filesystem;
const fs::path kRoot = CHOKEPOINT_SOURCE_DIR;

struct Include {
  std::string path;
};

std::vector<Include> includes_of(const fs::path& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<Include> found;
  std::ifstream stream(file);
  std::smatch match;
  for (std::string line; std::getline(stream, line);)
    if (std::regex_search(line, match, pattern)) found.push_back({match[1]});
  return found;
}

std::vector<fs::path> sources_under(const std::string& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(kRoot / folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".cpp" || extension == ".hpp" || extension == ".cu" || extension == ".cuh")
      files.push_back(entry.path());
  }
  return files;
}

// The layer of a project file: the longest key of the table that is a prefix of its path.
std::string layer_of(const std::string& path, const std::map<std::string, std::set<std::string>>& table) {
  std::string best;
  for (const auto& [layer, allowed] : table)
    if (path.starts_with(layer) && layer.size() > best.size()) best = layer;
  return best;
}

// ARCHITECTURE.md shows this table. A layer may always include itself. A trailing slash means a folder.
const std::map<std::string, std::set<std::string>> kTable = {
    {"harness/base/", {}},
    {"kernels/kernel", {"harness/base/", "kernels/pace.hpp"}},
    {"kernels/pace.hpp", {"harness/base/"}},
    {"kernels/common/", {"harness/base/", "kernels/kernel", "kernels/pace.hpp"}},
    {"kernels/common/cuda/",
     {"harness/base/", "harness/device/device.hpp", "harness/device/cuda/check.hpp", "kernels/kernel", "kernels/pace.hpp", "kernels/common/"}},
    {"kernels/",
     {"harness/base/", "kernels/kernel", "kernels/pace.hpp", "kernels/common/", "kernels/common/cuda/"}},
    {"harness/model/", {"harness/base/", "kernels/kernel"}},
    {"harness/metrics/", {"harness/base/", "kernels/kernel", "harness/model/"}},
    {"harness/device/", {"harness/base/"}},
    {"harness/device/cuda/", {"harness/base/", "harness/device/", "kernels/common/cuda/ptx.cuh"}},
    {"harness/caps/",
     {"harness/base/", "harness/device/", "kernels/pace.hpp", "harness/model/", "harness/meters/nvml."}},
    {"harness/meters/nvml.", {"harness/base/", "harness/meters/"}},
    {"harness/meters/",
     {"harness/base/", "harness/device/", "kernels/pace.hpp", "harness/model/", "harness/meters/nvml."}},
    {"harness/run/",
     {"harness/base/", "kernels/kernel", "kernels/pace.hpp", "harness/model/", "harness/metrics/",
      "harness/device/", "harness/caps/", "harness/meters/", "harness/meters/nvml."}},
    {"harness/report/", {"harness/base/", "kernels/kernel", "harness/model/", "harness/metrics/"}},
    {"harness/claims/", {"harness/base/", "kernels/kernel", "harness/model/", "harness/metrics/"}},
    {"harness/track/", {"harness/base/", "kernels/kernel", "harness/model/", "harness/metrics/"}},
    {"harness/cli/",
     {"harness/base/", "kernels/kernel", "harness/model/", "harness/metrics/", "harness/device/", "harness/caps/",
      "harness/meters/", "harness/meters/nvml.", "harness/run/", "harness/report/", "harness/claims/",
      "harness/track/"}},
    {"harness/gbench/", {"harness/base/", "harness/run/"}},
};

// Libraries besides the standard one, by layer.
const std::map<std::string, std::set<std::string>> kLibraries = {
    {"fmt/", {"harness/", "kernels/"}},
    {"nlohmann/", {"harness/base/"}},
    {"CLI/", {"harness/cli/"}},
    {"benchmark/", {"harness/gbench/"}},
    {"hwy/", {"kernels/"}},
    {"cuda", {"kernels/", "harness/device/cuda/"}},
    {"cudnn", {"kernels/"}},
    {"cublas", {"kernels/"}},
    {"sqlite3", {"harness/track/"}},
    {"gtest/", {}},
};

TEST(includes, project_headers_follow_the_table) {
  std::size_t seen = 0;
  for (const char* top : {"kernels", "harness"})
    for (const fs::path& file : sources_under(top)) {
      const std::string path = fs::relative(file, kRoot);
      const std::string layer = layer_of(path, kTable);
      ASSERT_FALSE(layer.empty()) << path << " lies in a folder the table does not know";
      for (const Include& include : includes_of(file)) {
        // Others are libraries, whichever way they are quoted (Highway's own headers want quotes).
        if (!include.path.starts_with("kernels/") && !include.path.starts_with("harness/")) continue;
        const std::string target = layer_of(include.path, kTable);
        const auto& may = kTable.at(layer);
        const bool allowed = target == layer || std::any_of(may.begin(), may.end(), [&](const std::string& part) {
                               return include.path.starts_with(part);
                             });
        EXPECT_TRUE(allowed) << path << " includes " << include.path << ": " << layer << " may not include "
                             << target;
        EXPECT_TRUE(fs::exists(kRoot / include.path)) << path << " includes " << include.path;
        ++seen;
      }
    }
  EXPECT_GT(seen, 100U) << "the walk found almost nothing";
}

TEST(includes, kernels_of_one_operation_do_not_include_another) {
  for (const fs::path& file : sources_under("kernels")) {
    const std::string path = fs::relative(file, kRoot);
    const std::string folder = fs::path(path).parent_path();
    for (const Include& include : includes_of(file))
      if (include.path.starts_with("kernels/")) {
        const std::string other = fs::path(include.path).parent_path();
        EXPECT_TRUE(other == folder || other == "kernels" || other.starts_with("kernels/common"))
            << path << " includes " << include.path;
      }
  }
}

// So the build proves that these headers compile alone; tests/CMakeLists.txt compiles the others on their own.
TEST(includes, a_source_includes_its_own_header_first) {
  std::size_t seen = 0;
  for (const char* top : {"kernels", "harness", "tests"})
    for (const fs::path& file : sources_under(top)) {
      if (file.extension() != ".hpp") continue;
      const fs::path source = fs::path(file).replace_extension(".cpp");
      if (!fs::exists(source)) continue;
      const std::vector<Include> includes = includes_of(source);
      ASSERT_FALSE(includes.empty()) << source;
      // What Highway compiles per instruction set has to begin with its loop over them.
      if (includes.front().path == "hwy/foreach_target.h") continue;
      EXPECT_EQ(includes.front().path, fs::relative(file, kRoot)) << source;
      ++seen;
    }
  EXPECT_GT(seen, 50U) << "the walk found almost nothing";
}

TEST(includes, libraries_stay_where_they_belong) {
  for (const char* top : {"kernels", "harness"})
    for (const fs::path& file : sources_under(top)) {
      const std::string path = fs::relative(file, kRoot);
      for (const Include& include : includes_of(file))
        for (const auto& [library, layers] : kLibraries)
          if (include.path.starts_with(library)) {
            const bool allowed = std::any_of(layers.begin(), layers.end(), [&](const std::string& layer) {
              return path.starts_with(layer);
            });
            EXPECT_TRUE(allowed) << path << " includes " << include.path;
          }
    }
}

// The names of types that a source defines outside of unnamed namespaces, each with its namespace.
std::set<std::string> types_of(const fs::path& file) {
  static const std::regex opened(R"(^namespace ?([\w:]*) ?\{$)"), closed(R"(^\}  // namespace)"),
      defined(R"(^(struct|class|enum class|union) (alignas\(\d+\) )?(\w+)(?!\w|::)[^;]*(\{.*)?$)");
  std::set<std::string> names;
  std::vector<std::string> spaces;
  std::ifstream stream(file);
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (std::regex_search(line, match, opened)) {
      spaces.push_back(match[1]);
    } else if (std::regex_search(line, closed)) {
      if (!spaces.empty()) spaces.pop_back();
    } else if (std::regex_search(line, match, defined) && std::count(spaces.begin(), spaces.end(), "") == 0) {
      std::string name;
      for (const std::string& space : spaces) name += space + "::";
      names.insert(name + match[3].str());
    }
  }
  return names;
}

// Two types of one name link without a word, and one of them then runs the other's code.
TEST(includes, no_two_files_define_a_type_of_the_same_name) {
  std::map<std::string, std::string> where;
  for (const char* top : {"kernels", "harness"})
    for (const fs::path& file : sources_under(top))
      for (const std::string& name : types_of(file)) {
        const std::string path = fs::relative(file, kRoot);
        const auto [first, is_new] = where.emplace(name, path);
        EXPECT_TRUE(is_new) << name << " is defined in " << first->second << " and in " << path;
      }
  EXPECT_GT(where.size(), 300U) << "the walk found almost nothing";
}

}  // namespace
}  // namespace chokepoint
