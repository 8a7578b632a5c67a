// The choice of a tier, by name and by default.
#include "kernels/api/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/base/error.h"

namespace tandem::cpu {
namespace {

TEST(Isa, DefaultIsTheLastAvailable) { EXPECT_EQ(choose_isa(""), available_isas().back()); }

TEST(Isa, PortableIsAlwaysThere) {
  EXPECT_TRUE(machine_has(Isa::kPortable));
  EXPECT_EQ(available_isas().front(), Isa::kPortable);
}

TEST(Isa, NamesChooseTiers) {
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx2Vnni, Isa::kAvx512, Isa::kVnni, Isa::kAmx, Isa::kNeon, Isa::kDotprod, Isa::kI8mm, Isa::kBf16}) {
    if (machine_has(isa))
      EXPECT_EQ(choose_isa(name(isa)), isa);
    else
      EXPECT_THROW(choose_isa(name(isa)), Error);
  }
}

TEST(Isa, UnknownNameSaysWhatThereIs) {
  try {
    choose_isa("avx1024");
    FAIL() << "accepted an unknown name";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(std::string(e.what()), testing::AllOf(testing::HasSubstr("avx1024"), testing::HasSubstr("portable")));
  }
}

TEST(Isa, ChosenStaysChosen) { EXPECT_EQ(chosen_isa(), chosen_isa()); }

}  // namespace
}  // namespace tandem::cpu
