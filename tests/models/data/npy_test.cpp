#include "models/data/npy.h"

#include <gmock/gmock.h>

#include <functional>

#include "models/data/zip.h"
#include "tests/models/data/message_of.h"
#include "tests/models/data/temporary_folder.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

std::string file_of(const std::string& dict, const std::string& data) {
  std::string padded = dict;
  padded.append(117 - dict.size(), ' ').append("\n");
  return "\x93NUMPY\1\0"s + static_cast<char>(118) + '\0' + padded + data;
}

std::string refusal(const std::string& bytes) {
  return message_of([&] { parse_npy(bytes, "x.npy"); });
}

// The bytes numpy.save writes for numpy.array([[1, 2]], dtype='<i2'), by the format's specification.
TEST(Npy, ReadsAFileAsSpecified) {
  const Tensor tensor = parse_npy(file_of("{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2), }", "\1\0\2\0"s), "x.npy");
  EXPECT_EQ(tensor.shape(), (Shape{1, 2}));
  EXPECT_THAT(tensor.as<int16_t>(), ElementsAre(1, 2));
}

TEST(Npy, WhatIsWrittenIsReadBack) {
  const Tensor numbers = Tensor::of<float>({2, 2}, {1.5f, -0.0f, 3e38f, 1e-45f});
  EXPECT_TRUE(identical(parse_npy(format_npy(numbers), "x"), numbers));
  const Tensor scalar = Tensor::scalar<int64_t>(-7);
  EXPECT_TRUE(identical(parse_npy(format_npy(scalar), "x"), scalar));
  const Tensor none(DType::kF64, {0, 3});
  EXPECT_TRUE(identical(parse_npy(format_npy(none), "x"), none));
  const std::vector<std::string> words = {"", "Zürich", "日本", "\xF0\x9F\x99\x82"};
  const Tensor text = Tensor::strings({4}, words);
  EXPECT_TRUE(identical(parse_npy(format_npy(text), "x"), text));
  EXPECT_EQ(format_npy(text).size() % 64, 4 * 4 * 6 % 64);  // the data begins at a multiple of 64
}

TEST(Npy, RefusesWhatItCannotRead) {
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", std::string(16, 'x'))),
              HasSubstr("numpy.ascontiguousarray"));
  EXPECT_THAT(refusal(file_of("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234")), HasSubstr("big-endian"));
  EXPECT_THAT(refusal(file_of("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "1234")), HasSubstr("pickled"));
  EXPECT_THAT(refusal(file_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234")),
              HasSubstr("structured"));
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "")), HasSubstr("negative"));
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "")),
              HasSubstr("overflows"));
  EXPECT_THAT(refusal(file_of("{'descr': '<U1', 'fortran_order': False, 'shape': (99999999999,), }", "")), HasSubstr("limit"));
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'shape': (1,), }", "1234")), HasSubstr("expected the keys"));
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "123")), HasSubstr("cut short"));
  EXPECT_THAT(refusal(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "12345")), HasSubstr("trailing"));
  EXPECT_THAT(refusal(file_of("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", "\xFF\xFF\xFF\xFF")),
              HasSubstr("not a character"));
  EXPECT_THAT(refusal("not numpy at all"), HasSubstr("not an npy file"));
}

void survive(const std::string& good, const std::function<void(const std::string&)>& read) {
  const auto attempt = [&](const std::string& bytes) {
    try {
      read(bytes);
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
    }
  };
  for (size_t size = 0; size < good.size(); ++size) attempt(good.substr(0, size));
  for (size_t at = 0; at < good.size(); ++at)
    for (int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      attempt(bad);
    }
}

TEST(Npy, SurvivesDamage) {
  survive(format_npy(Tensor::of<float>({2}, {1, 2})), [](const std::string& bytes) { parse_npy(bytes, "x"); });
  survive(write_zip({{"a.npy", format_npy(Tensor::of<float>({2}, {1, 2}))}}),
          [](const std::string& bytes) { parse_npz(bytes, "x"); });
}

TEST(Npz, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const NamedTensors tensors = {{"x", Tensor::of<double>({2}, {1, 2})}, {"y", Tensor::of<int64_t>({1}, {3})}};
  write_npz(folder.path() / "a.npz", tensors);
  const NamedTensors read = read_npz(folder.path() / "a.npz");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].first, "y");
  EXPECT_TRUE(identical(read[0].second, tensors[0].second));
  EXPECT_TRUE(identical(read[1].second, tensors[1].second));
}

TEST(Zip, ReadsADeflatedMember) {
  // Made with Python's zipfile from {"a.txt": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"}.
  const std::string deflated = "\x4b\x4c\x24\x0f\x70\x01\x00"s;
  std::string archive = write_zip({{"a.txt", deflated}});
  // Turns the stored member into a deflated one of 57 bytes: method, CRC-32 and size, in both headers.
  const size_t directory = 30 + 5 + deflated.size();
  for (size_t at : {size_t{8}, directory + 10}) {
    archive[at] = 8;
    archive.replace(at + 6, 4, "\x91\xda\x13\x8a"s);
    archive.replace(at + 14, 4, "\x39\0\0\0"s);
  }
  const std::vector<ZipMember> members = read_zip(archive, "a.zip", 1000);
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(members[0].content, std::string(56, 'a') + "\n");
  EXPECT_THAT(message_of([&] { read_zip(archive, "a.zip", 56); }), HasSubstr("exceeds the limit"));
}

TEST(Zip, RefusesDamage) {
  std::string archive = write_zip({{"a.txt", "hello"}});
  archive[30 + 5] = 'j';
  EXPECT_THAT(message_of([&] { read_zip(archive, "a.zip", 1000); }), HasSubstr("CRC-32"));
  EXPECT_THAT(message_of([&] {
                read_zip(write_zip({{"a", "1"}, {"a", "2"}}), "a.zip", 1000);
              }),
              HasSubstr("two members of one name"));
  EXPECT_THAT(message_of([&] { read_zip("nothing", "a.zip", 1000); }), HasSubstr("not a zip archive"));
}

}  // namespace
}  // namespace tandem
