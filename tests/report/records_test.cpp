// Reading records: nothing is lost without a word, whatever a crash or a stranger left in the file.
#include "harness/report/records.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/base/random.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::error_of;

std::string line_of(const std::string& case_id, int attempt = 1) {
  Record record;
  record.case_id = case_id;
  record.attempt = attempt;
  record.run_id = "é漢";  // characters of several bytes, to be cut in the middle
  record.status = Status::skipped;
  record.reason = "by \"hand\"";
  record.device = {{"kind", "cpu"}, {"name", "machine"}};
  return to_json(record).dump();
}

RecordSet read(std::string_view text) {
  RecordSet set;
  add_records(text, "r.jsonl", set);
  return set;
}

class Folder {
 public:
  Folder() : path_("/tmp/chokepoint_records_test." + std::to_string(::getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(records, are_read_in_order_with_their_places) {
  const RecordSet set = read(line_of("a") + "\n\n" + line_of("b") + "\r\n");
  ASSERT_EQ(set.records.size(), 2U);
  EXPECT_EQ(set.records[0].case_id, "a");
  EXPECT_EQ(set.records[1].case_id, "b");
  EXPECT_EQ(set.places[1].line, 3);
  EXPECT_EQ(set.places[1].file, "r.jsonl");
  EXPECT_TRUE(set.cut_lines.empty());
  EXPECT_TRUE(read("").records.empty());
}

TEST(records, the_latest_attempt_wins_and_older_ones_are_counted) {
  const RecordSet set = read(line_of("a", 1) + "\n" + line_of("b") + "\n" + line_of("a", 3) + "\n" + line_of("a", 2) + "\n");
  ASSERT_EQ(set.records.size(), 2U);
  EXPECT_EQ(set.records[0].attempt, 3);
  EXPECT_EQ(set.places[0].line, 3);
  EXPECT_EQ(set.superseded, 2U);
  RecordSet later = read(line_of("a", 5) + "\n");
  add_records(line_of("a", 1), "newer.jsonl", later);  // a later run begins to count anew
  EXPECT_EQ(later.places[0].file, "newer.jsonl");
  EXPECT_EQ(later.superseded, 1U);
}

TEST(records, one_case_on_two_machines_is_two_cases) {
  std::string other = line_of("a");
  other.replace(other.find("machine"), 7, "another");
  EXPECT_EQ(read(line_of("a") + "\n" + other + "\n").records.size(), 2U);
}

TEST(records, a_cut_last_line_is_reported_and_costs_nothing_else) {
  const RecordSet set = read(line_of("a") + "\n" + line_of("b") + "\n" + line_of("c").substr(0, 100));
  EXPECT_EQ(set.records.size(), 2U);
  ASSERT_EQ(set.cut_lines.size(), 1U);
  EXPECT_EQ(set.cut_lines[0].line, 3);
}

TEST(records, a_cut_line_that_was_closed_off_later_is_reported_where_it_is) {
  const RecordSet set = read(line_of("a") + "\n" + line_of("b").substr(0, 100) + "\n" + line_of("b") + "\n");
  EXPECT_EQ(set.records.size(), 2U);
  ASSERT_EQ(set.cut_lines.size(), 1U);
  EXPECT_EQ(set.cut_lines[0].line, 2);
}

TEST(records, a_broken_line_is_an_error_that_names_it) {
  std::string broken = line_of("b");
  broken[10] = '\x01';
  EXPECT_EQ(error_of([&] { read(line_of("a") + "\n" + broken + "\n" + line_of("c") + "\n"); })
                .substr(0, 34),
            "r.jsonl:2: not valid JSON at byte ");
  std::string unknown = line_of("b");
  unknown.replace(unknown.find("\"reason\""), 8, "\"raeson\"");
  EXPECT_NE(error_of([&] { read(line_of("a") + "\n" + unknown + "\n"); }).find("r.jsonl:2: reason is missing"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read(line_of("a") + "\n\n[]\n"); }).find("r.jsonl:3: the file is an array"), std::string::npos);
}

TEST(records, what_cannot_be_read_is_skipped_and_named_when_asked) {
  std::string other_schema = line_of("c");
  other_schema.replace(other_schema.find("record/1"), 8, "record/2");
  RecordSet set;
  add_records(line_of("a") + "\n{broken}\n" + other_schema + "\n" + std::string(100, '[') + "\n" + line_of("b") + "\n", "r.jsonl",
              set, {.skip_unreadable = true});
  EXPECT_EQ(set.records.size(), 2U);
  ASSERT_EQ(set.unreadable.size(), 3U);
  EXPECT_EQ(set.unreadable[0].place.line, 2);
  EXPECT_NE(set.unreadable[0].why.find("r.jsonl:2: not valid JSON"), std::string::npos);
  EXPECT_NE(set.unreadable[1].why.find("chokepoint/record/2"), std::string::npos);
}

TEST(records, each_run_keeps_its_own_attempts_when_asked) {
  std::string other_run = line_of("a", 1);
  other_run.replace(other_run.find("é漢"), 5, "other");
  const std::string text = line_of("a", 1) + "\n" + line_of("a", 2) + "\n" + other_run + "\n";
  RecordSet set;
  add_records(text, "r.jsonl", set, {.each_run = true});
  ASSERT_EQ(set.records.size(), 2U);
  EXPECT_EQ(set.records[0].attempt, 2);
  EXPECT_EQ(set.records[1].run_id, "other");
  EXPECT_EQ(read(text).records.size(), 1U);
}

TEST(records, nesting_that_would_exhaust_the_stack_is_refused) {
  const std::string deep(1000000, '[');
  EXPECT_NE(error_of([&] { read(deep); }).find("nested 1000000 deep"), std::string::npos);
  std::string inside = line_of("a");
  inside.replace(inside.find("\"machine\""), 9, deep + std::string(deep.size(), ']'));
  EXPECT_NE(error_of([&] { read(inside); }).find("deep"), std::string::npos);
}

// Every intact record before the cut is there; a line that is begun is reported.
TEST(records, truncation_at_every_byte_keeps_all_intact_records) {
  const std::vector<std::string> lines = {line_of("a"), line_of("b"), line_of("c")};
  const std::string text = lines[0] + "\n" + lines[1] + "\n" + lines[2] + "\n";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    std::size_t whole = 0, end = 0;
    bool has_rest = false;
    for (const std::string& line : lines) {
      has_rest = size > end && size < end + line.size();
      if (size < end + line.size()) break;
      ++whole;
      end += line.size() + 1;
    }
    const RecordSet set = read(std::string_view(text).substr(0, size));
    ASSERT_EQ(set.records.size(), whole) << size;
    ASSERT_EQ(set.cut_lines.size(), has_rest ? 1U : 0U) << size;
    // A later append closes the cut line off; then it is still only that one that is missing.
    const RecordSet closed = read(std::string(text, 0, size) + "\n" + line_of("later") + "\n");
    ASSERT_EQ(closed.records.size(), whole + 1) << size;
    ASSERT_EQ(closed.cut_lines.size(), has_rest ? 1U : 0U) << size;
  }
}

// Seeded mutations of one line: an error, or the other records are all there and the mutated line is a record or is
// reported.
TEST(records, mutations_end_in_an_error_or_in_all_the_other_records) {
  const std::string first = line_of("a"), middle = line_of("b"), last = line_of("c");
  int errors = 0, read_whole = 0, cut = 0;
  for (std::uint64_t round = 0; round < 6000; ++round) {
    std::string line = middle;
    for (std::uint64_t edit = 0; edit < 1 + round % 3; ++edit) {
      const std::size_t at = random_below(11, round, 3 * edit, line.size());
      switch (random_below(11, round, 3 * edit + 1, 3)) {
        case 0: line[at] = static_cast<char>(random_below(11, round, 3 * edit + 2, 256)); break;
        case 1: line.erase(at, 1 + random_below(11, round, 3 * edit + 2, 40)); break;
        default: line.insert(at, line.substr(0, random_below(11, round, 3 * edit + 2, 40))); break;
      }
      if (line.empty()) line = "{";
    }
    if (line.find('\n') != std::string::npos) continue;  // two lines then
    try {
      const RecordSet set = read(first + "\n" + line + "\n" + last + "\n");
      ASSERT_GE(set.records.size(), 2U) << line;
      EXPECT_EQ(set.records.front().case_id, "a");
      ASSERT_EQ(set.records.size() + set.superseded + set.cut_lines.size(), 3U) << line;
      ++(set.cut_lines.empty() ? read_whole : cut);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, 10), "r.jsonl:2:") << error.what();
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);  // all three ends of a line were seen
  EXPECT_GT(read_whole, 20);
  EXPECT_GT(cut, 10);
}

TEST(records, folders_and_files_are_read_once_each) {
  const Folder folder;
  const std::string file = folder.write("run/records.jsonl", line_of("a") + "\n");
  const RecordSet set = read_records({folder.path() + "/run", file, folder.path() + "/run/../run"});
  EXPECT_EQ(set.records.size(), 1U);
  EXPECT_EQ(set.superseded, 0U);
  EXPECT_EQ(set.files, std::vector<std::string>{file});
}

TEST(records, a_folder_without_records_names_one_that_has_them) {
  const Folder folder;
  folder.write("2026-11-24_cpu_quick/records.jsonl", "");
  folder.write("2026-11-23_cpu_quick/records.jsonl", "");
  EXPECT_NE(error_of([&] { read_records({folder.path()}); }).find("did you mean " + folder.path() + "/2026-11-24_cpu_quick"),
            std::string::npos);
  EXPECT_NE(error_of([] { read_records({"/nowhere/records.jsonl"}); }).find("cannot read /nowhere"), std::string::npos);
}

}  // namespace
}  // namespace chokepoint
