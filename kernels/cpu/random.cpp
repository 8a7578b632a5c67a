#include "kernels/api/random.h"

#include <array>
#include <cmath>
#include <numbers>

#include "kernels/base/dtype_families.h"
#include "kernels/base/philox.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kWords = 4;  // of one counter
using Words = std::array<uint32_t, kWords>;

// Calls element(i, words, place) for all i < n, `words[place]` being the element's own.
template <class Element>
void for_each_element(const KernelContext& context, RandomStream stream, int64_t n, Element element) {
  parallel_chunks(context, n, kGrain, [&](int64_t begin, int64_t end) {  // kGrain is a multiple of kWords
    for (int64_t first = begin; first < end; first += kWords) {
      const Words words = philox(stream.key, static_cast<uint64_t>(first / kWords), stream.counter);
      for (int64_t place = 0; place < std::min(kWords, end - first); ++place)
        element(first + place, words, static_cast<size_t>(place));
    }
  });
}

// Uniform in [0, 1).
template <class T>
T unit(const Words& words, size_t place) {
  if constexpr (std::is_same_v<T, float>) return unit_float(words[place]);
  const uint64_t pair = static_cast<uint64_t>(words[place]) << 32 | words[place ^ 1];
  return static_cast<T>(static_cast<double>(pair >> 11) * 0x1p-53);
}

// Standard normal: the pair's radius from its first word, its angle from the second.
double normal(const Words& words, size_t place) {
  const size_t pair = place / 2 * 2;
  const double radius = std::sqrt(-2 * std::log((words[pair] + 0.5) * 0x1p-32));
  const double angle = 2 * std::numbers::pi * (words[pair + 1] * 0x1p-32);
  return radius * (place % 2 ? std::sin(angle) : std::cos(angle));
}

template <class T>
void drop(const KernelContext& context, RandomStream stream, double ratio, ConstTensorView x, TensorView y, TensorView kept) {
  const T *in = x.as<T>().data(), scale = static_cast<T>(1 / (1 - ratio));
  T* out = y.as<T>().data();
  bool* flags = kept && kept.dtype == DType::kBool ? kept.as<bool>().data() : nullptr;
  T* numbers = kept && !flags ? kept.as<T>().data() : nullptr;
  for_each_element(context, stream, y.elements(), [=](int64_t i, const Words& words, size_t place) {
    const bool keep = static_cast<double>(unit_float(words[place])) >= ratio;
    out[i] = keep ? in[i] * scale : T{0};
    if (flags) flags[i] = keep;
    if (numbers) numbers[i] = keep ? T{1} : T{0};
  });
}

// The class at which the running sum of exp(x - largest) passes `target` of it all.
template <class T>
int64_t drawn_class(const T* x, int64_t classes, double target) {
  double largest = -std::numeric_limits<double>::infinity(), total = 0, running = 0;
  for (int64_t c = 0; c < classes; ++c) largest = std::max(largest, static_cast<double>(x[c]));
  for (int64_t c = 0; c < classes; ++c) total += std::exp(static_cast<double>(x[c]) - largest);
  int64_t last = 0;
  for (int64_t c = 0; c < classes; ++c) {
    const double weight = std::exp(static_cast<double>(x[c]) - largest);
    running += weight;
    if (running > target * total) return c;
    if (weight > 0) last = c;
  }
  return last;  // rounding
}

}  // namespace

void random_uniform(const KernelContext& context, RandomStream stream, double low, double high, TensorView y) {
  visit_float(y.dtype, [&]<class T>() {
    T* out = y.as<T>().data();
    const T from = static_cast<T>(low), span = static_cast<T>(high - low);
    for_each_element(context, stream, y.elements(),
                     [=](int64_t i, const Words& words, size_t place) { out[i] = from + span * unit<T>(words, place); });
  });
}

void random_normal(const KernelContext& context, RandomStream stream, double mean, double scale, TensorView y) {
  visit_float(y.dtype, [&]<class T>() {
    T* out = y.as<T>().data();
    for_each_element(context, stream, y.elements(), [=](int64_t i, const Words& words, size_t place) {
      out[i] = static_cast<T>(mean + scale * normal(words, place));
    });
  });
}

void bernoulli(const KernelContext& context, RandomStream stream, ConstTensorView p, TensorView y) {
  visit_float(p.dtype, [&]<class P>() {
    const P* probability = p.as<P>().data();
    visit_arithmetic_or_bool(y.dtype, [&]<class T>() {
      T* out = y.as<T>().data();
      for_each_element(context, stream, y.elements(), [=](int64_t i, const Words& words, size_t place) {
        out[i] = unit<P>(words, place) < probability[i] ? T{1} : T{0};
      });
    });
  });
}

void multinomial(const KernelContext& context, RandomStream stream, ConstTensorView x, TensorView y) {
  const int64_t classes = x.shape[1], samples = y.shape[1];
  require(classes > 0 || y.elements() == 0, "[Multinomial] there is no class to draw from; shape", to_string(x.shape));
  visit_float(x.dtype, [&]<class X>() {
    const X* weights = x.as<X>().data();
    const auto draw = [&]<class T>() {
      T* out = y.as<T>().data();
      for_each_element(context, stream, y.elements(), [=](int64_t i, const Words& words, size_t place) {
        out[i] = static_cast<T>(drawn_class(weights + i / samples * classes, classes, unit<double>(words, place)));
      });
    };
    y.dtype == DType::kI32 ? draw.template operator()<int32_t>() : draw.template operator()<int64_t>();
  });
}

void dropout(const KernelContext& context, RandomStream stream, double ratio, ConstTensorView x, TensorView y, TensorView kept) {
  visit_float(x.dtype, [&]<class T>() { drop<T>(context, stream, ratio, x, y, kept); });
}

}  // namespace tandem::cpu
