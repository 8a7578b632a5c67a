#include "models/data/load.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <numeric>

#include "models/data/decompress.h"
#include "models/data/npy.h"
#include "models/data/split.h"
#include "models/data/table_dataset.h"
#include "tests/models/data/message_of.h"
#include "tests/models/data/temporary_folder.h"
#include "tests/support/source_dir.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

std::filesystem::path shipped(const char* name) { return source_dir() / "models/datasets" / name; }

DataConfig adult() {
  DataConfig config;
  config.path = shipped("adult.csv.xz");
  config.csv.names = {"age",          "workclass", "fnlwgt", "education",    "education_num", "marital_status", "occupation",
                      "relationship", "race",      "sex",    "capital_gain", "capital_loss",  "hours_per_week", "native_country",
                      "income"};
  config.label = "income";
  return config;
}

std::string gzip(std::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(compressBound(text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// The counts are UCI's own (adult.names): 32561 rows, 24.08 % above 50K.
TEST(Load, Adult) {
  const LoadedData data = load_dataset(adult());
  EXPECT_EQ(data.test, nullptr);
  ASSERT_EQ(data.train->rows(), 32'561);
  ASSERT_EQ(data.train->inputs().size(), 14u);
  EXPECT_EQ(data.train->inputs()[0].name, "age");
  EXPECT_EQ(data.train->inputs()[1].dtype, DType::kString);
  EXPECT_EQ(data.train->inputs()[1].shape, (Shape{1}));
  const Target& target = data.train->target();
  EXPECT_THAT(target.class_names, ElementsAre("<=50K", ">50K"));
  EXPECT_EQ(std::accumulate(target.classes.begin(), target.classes.end(), int64_t{0}), 7'841);

  const std::vector<int64_t> rows = {1, 0};
  const std::vector<Tensor> features = data.train->gather(rows);
  EXPECT_EQ(features[0].shape(), (Shape{2, 1}));
  EXPECT_THAT(features[0].as<float>(), ElementsAre(50, 39));
  EXPECT_THAT(features[1].as<std::string_view>(), ElementsAre("Self-emp-not-inc", "State-gov"));
}

TEST(Load, AdultSplitKeepsItsRepeatedRowsTogether) {
  const LoadedData data = load_dataset(adult());
  const Split split = split_rows(*data.train, {.test = 0.2, .validation = 0.1, .seed = 0});
  EXPECT_NEAR(static_cast<double>(split.test.size()), 6'512, 3);
  std::set<Digest> train;
  for (int64_t row : split.train) train.insert(data.train->digest(row));
  for (int64_t row : split.test) EXPECT_FALSE(train.contains(data.train->digest(row)));
  EXPECT_LT(train.size(), split.train.size());  // some rows do repeat
}

TEST(Load, DigitsAreImages) {
  DataConfig config;
  config.path = shipped("digits.csv.gz");
  config.csv.header = CsvHeader::kAbsent;
  config.label = "last";
  config.row_shape = {1, 8, 8};
  config.scale = 1.0 / 16;
  const LoadedData data = load_dataset(config);
  EXPECT_EQ(data.train->rows(), 1'797);
  EXPECT_EQ(data.train->target().class_names.size(), 10u);
  EXPECT_EQ(data.train->inputs()[0].shape, (Shape{1, 8, 8}));
  const std::vector<int64_t> first = {0};
  const Tensor image = data.train->gather(first)[0];
  EXPECT_EQ(image.as<float>()[2], 5.0f / 16);
  EXPECT_EQ(data.train->gather_target(first).as<int64_t>()[0], 0);
}

TEST(Load, BreastCancer) {
  DataConfig config;
  config.path = shipped("breast_cancer.csv.gz");
  config.csv.header = CsvHeader::kAbsent;
  config.csv.skip_lines = 1;
  config.label = "last";
  config.class_names = {"malignant", "benign"};
  const LoadedData data = load_dataset(config);
  EXPECT_EQ(data.train->rows(), 569);
  EXPECT_EQ(data.train->inputs().size(), 30u);
  const std::vector<int64_t>& classes = data.train->target().classes;
  EXPECT_EQ(std::accumulate(classes.begin(), classes.end(), int64_t{0}), 357);  // benign, by the file's documentation
}

TEST(Load, IdxWithItsOwnTestPart) {
  const TemporaryFolder folder;
  DataConfig config;
  config.format = DataFormat::kIdx;
  config.row_shape = {1, 1, 2};
  config.scale = 1.0 / 255;
  config.path = folder.write("x.gz", gzip("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02"s + "\x00\xFF\x33\x66"s));
  config.labels_path = folder.write("y", "\0\0\x08\x01\0\0\0\x02\x01\x00"s);
  config.test_path = folder.write("tx", "\0\0\x08\x03\0\0\0\x01\0\0\0\x01\0\0\0\x02"s + "\x33\x33"s);
  config.test_labels_path = folder.write("ty", "\0\0\x08\x01\0\0\0\x01\x01"s);
  const LoadedData data = load_dataset(config);
  const std::vector<int64_t> rows = {1, 0};
  const Tensor images = data.train->gather(rows)[0];
  EXPECT_EQ(images.shape(), (Shape{2, 1, 1, 2}));
  EXPECT_FLOAT_EQ(images.as<float>()[1], 0.4f);
  EXPECT_THAT(data.train->gather_target(rows).as<int64_t>(), ElementsAre(0, 1));
  ASSERT_NE(data.test, nullptr);
  EXPECT_THAT(data.test->target().classes, ElementsAre(1));
}

TEST(Load, NpzArraysAreInputs) {
  const TemporaryFolder folder;
  write_npz(folder.path() / "d.npz",
            {{"x", Tensor::of<float>({2, 2}, {1, 2, 3, 4})}, {"y", Tensor::of<double>({2}, {0.5, 1.5})}});
  DataConfig config;
  config.format = DataFormat::kNpz;
  config.path = folder.path() / "d.npz";
  config.label = "y";
  config.target = TargetKind::kValue;
  const LoadedData data = load_dataset(config);
  EXPECT_EQ(data.train->inputs()[0].shape, (Shape{2}));
  EXPECT_THAT(data.train->target().values, ElementsAre(0.5f, 1.5f));
}

TEST(Load, TheHashIsOfTheContentNotItsPacking) {
  const TemporaryFolder folder;
  const std::string text = "x,label\n1,a\n2,b\n";
  DataConfig plain, packed;
  plain.path = folder.write("a.csv", text);
  packed.path = folder.write("a.csv.gz", gzip(text));
  EXPECT_EQ(load_dataset(plain).hash, load_dataset(packed).hash);
}

TEST(Load, RefusesWrongLabelsAndColumns) {
  const TemporaryFolder folder;
  DataConfig config;
  config.path = folder.write("a.csv", "x,label\n1,a\n2,\n");
  EXPECT_THAT(message_of([&] { load_dataset(config); }), HasSubstr("label is missing: row 2"));
  config.path = folder.write("b.csv", "x,label\n1,a\n2,a\n");
  EXPECT_THAT(message_of([&] { load_dataset(config); }), HasSubstr("two classes"));
  config.class_names = {"a", "b"};
  config.test_path = folder.write("c.csv", "x,label\n1,c\n");
  EXPECT_THAT(message_of([&] { load_dataset(config); }), HasSubstr("not one of the classes: row 1, c"));
  config.test_path = folder.write("d.csv", "z,label\n1,a\n");
  EXPECT_THAT(message_of([&] { load_dataset(config); }), HasSubstr("other inputs"));
  config.test_path.clear();
  config.ignore = {"colour"};
  EXPECT_THROW(load_dataset(config), Error);
}

TEST(Decompress, ReadsSeveralGzipMembers) { EXPECT_EQ(decompress(gzip("one,") + gzip("two"), "x.gz", 100), "one,two"); }

TEST(Decompress, EveryCutIsRefusedNamingTheByte) {
  const std::string packed = gzip("some text, some text, some more text");
  for (size_t size = 2; size < packed.size(); ++size)
    EXPECT_THAT(message_of([&] { decompress(packed.substr(0, size), "x.gz", 1000); }), HasSubstr("byte " + std::to_string(size)));
}

TEST(Decompress, StopsAtTheLimit) {
  const std::string bomb = gzip(std::string(1 << 22, 'x'));
  EXPECT_LT(bomb.size(), 10'000u);
  EXPECT_THAT(message_of([&] { decompress(bomb, "x.gz", 1 << 20); }), HasSubstr("exceeds the limit"));
  EXPECT_EQ(decompress(bomb, "x.gz", 1 << 22).size(), size_t{1} << 22);
}

TEST(Decompress, RefusesDamagedXz) {
  std::string packed;
  {
    std::ifstream file(shipped("adult.csv.xz"), std::ios::binary);
    packed.assign(std::istreambuf_iterator<char>(file), {});
  }
  EXPECT_THAT(message_of([&] { decompress(packed.substr(0, 1000), "x.xz", 1 << 24); }), HasSubstr("byte 1000"));
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 1);
  EXPECT_THAT(message_of([&] { decompress(packed, "x.xz", 1 << 24); }), HasSubstr("damaged"));
}

}  // namespace
}  // namespace tandem
