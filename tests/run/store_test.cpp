// The store: what is there is never overwritten, a cut line is set aside, and a resumed run knows what is
// done.
#include "harness/run/store.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"

namespace chokepoint {
namespace {

Record record(const std::string& id) {
  Record record;
  record.case_id = id;
  record.operation = "matmul";
  record.kernel = "cpu_native";
  record.target = "host";
  record.status = Status::unsupported;
  record.reason = "made for a test";
  record.provenance = {{"seed", 1}, {"input_distribution", "normal"}};
  return record;
}

class StoreTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string records() const { return read_file(folder_ + "/records.jsonl"); }
  const std::string folder_ = "/tmp/chokepoint_store." + std::to_string(::getpid());
};

TEST_F(StoreTest, records_come_back_on_resume) {
  {
    Store store(folder_, false);
    store.append(record("a"));
    store.append(record("b"));
    EXPECT_TRUE(store.has("a"));
  }
  const Store again(folder_, true);
  EXPECT_EQ(again.earlier().size(), 2U);
  EXPECT_TRUE(again.has("b"));
  EXPECT_FALSE(again.has("c"));
}

TEST_F(StoreTest, a_folder_with_records_is_not_written_to_without_resume) {
  Store(folder_, false).append(record("a"));
  EXPECT_THROW(Store(folder_, false), Error);
  EXPECT_EQ(Store(folder_, true).earlier().size(), 1U);
}

TEST_F(StoreTest, a_cut_last_line_is_set_aside_and_its_case_is_not_done) {
  Store(folder_, false).append(record("a"));
  const std::string whole = records();
  for (std::size_t cut : {std::size_t{1}, whole.size() / 2, whole.size() - 2}) {
    std::ofstream(folder_ + "/records.jsonl") << whole << whole.substr(0, cut);
    std::filesystem::remove(folder_ + "/records.jsonl.cut");
    const Store store(folder_, true);
    EXPECT_TRUE(store.mended());
    EXPECT_EQ(store.earlier().size(), 1U);
    EXPECT_EQ(records(), whole);
    EXPECT_EQ(read_file(folder_ + "/records.jsonl.cut"), whole.substr(0, cut) + "\n");
  }
}

TEST_F(StoreTest, a_broken_line_in_the_middle_is_an_error_that_names_it) {
  Store(folder_, false).append(record("a"));
  std::ofstream(folder_ + "/records.jsonl") << "{\"x\":1}\n" << records();
  try {
    Store(folder_, true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("line 1 of"), std::string::npos) << error.message();
  }
}

TEST_F(StoreTest, a_folder_that_cannot_be_made_is_known_before_anything_runs) {
  EXPECT_THROW(Store("/proc/nowhere", false), Error);
}

}  // namespace
}  // namespace chokepoint
