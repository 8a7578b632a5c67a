#include "kernels/api/linear_attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/checked.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kWorkPerThread = 16 * 1024;

struct Sizes {
  int64_t batch, steps, k, v;
};

Sizes sizes_of(const LinearAttentionViews& views, const LinearAttentionOptions& options) {
  const Shape &q = views.q.shape, &k = views.k.shape, &v = views.v.shape;
  require(q.rank() == 3 && k.rank() == 3 && v.rank() == 3 && options.heads > 0 && options.query_heads > 0 &&
              options.query_heads % options.heads == 0 && q[2] % options.query_heads == 0 && v[2] % options.heads == 0,
          "query, key and value must be [batch, steps, heads * size]", to_string(q), to_string(k), to_string(v));
  const Sizes of = {q[0], q[1], q[2] / options.query_heads, v[2] / options.heads};
  const auto rows = [&](const Shape& x, int64_t a, int64_t b) {
    return x == Shape({of.batch, of.steps, a}) || x == Shape({of.batch, of.steps, b});
  };
  const int64_t keys = options.heads * of.k;
  require(rows(k, keys, keys) && rows(v, v[2], v[2]), "query, key and value differ in batch, steps or size", to_string(q),
          to_string(k), to_string(v));
  require(!views.decay || rows(views.decay.shape, options.heads, keys), "decay must be [batch, steps, heads or heads * size]",
          to_string(views.decay.shape));
  require(!views.beta || rows(views.beta.shape, options.heads, 1), "beta must be [batch, steps, heads or 1]",
          to_string(views.beta.shape));
  require(!views.past || views.past.shape == Shape({of.batch, options.heads, of.k, of.v}), "past_state has the wrong shape",
          to_string(views.past.shape));
  return of;
}

// The steps of one batch and head.
template <class T>
class Recurrence {
 public:
  Recurrence(const LinearAttentionViews& views, const LinearAttentionOptions& options, const Sizes& of)
      : views_(views),
        options_(options),
        of_(of),
        q_(views.q.as<T>().data()),
        k_(views.k.as<T>().data()),
        v_(views.v.as<T>().data()) {
    scale_ = static_cast<T>(options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(of.k)));
  }

  // `written` is room for the row of values.
  void run(int64_t batch, int64_t head, T* written) const {
    T* state = views_.state.as<T>().data() + (batch * options_.heads + head) * of_.k * of_.v;
    if (!views_.past)
      std::fill_n(state, of_.k * of_.v, T{0});
    else if (const T* past = views_.past.as<T>().data() + (batch * options_.heads + head) * of_.k * of_.v; past != state)
      std::copy_n(past, of_.k * of_.v, state);
    for (int64_t t = 0; t < of_.steps; ++t) step(batch * of_.steps + t, head, state, written);
  }

 private:
  void step(int64_t row, int64_t head, T* state, T* written) const {
    const T *k = k_ + (row * options_.heads + head) * of_.k, *v = v_ + (row * options_.heads + head) * of_.v;
    if (views_.decay) fade(row, head, state);
    if (views_.beta) {
      std::fill_n(written, of_.v, T{0});
      for (int64_t i = 0; i < of_.k; ++i) add_row(state + i * of_.v, k[i], written);
      const int64_t betas = views_.beta.shape[2];
      const T beta = views_.beta.as<T>()[static_cast<size_t>(row * betas + (betas == 1 ? 0 : head))];
      for (int64_t j = 0; j < of_.v; ++j) written[j] = beta * (v[j] - written[j]);
      v = written;
    }
    for (int64_t i = 0; i < of_.k; ++i) add_row(v, k[i], state + i * of_.v);
    const int64_t group = options_.query_heads / options_.heads;
    for (int64_t h = head * group; h < (head + 1) * group; ++h) {
      const T* q = q_ + (row * options_.query_heads + h) * of_.k;
      T* y = views_.y.as<T>().data() + (row * options_.query_heads + h) * of_.v;
      std::fill_n(y, of_.v, T{0});
      for (int64_t i = 0; i < of_.k; ++i) add_row(state + i * of_.v, scale_ * q[i], y);
    }
  }

  void fade(int64_t row, int64_t head, T* state) const {
    const int64_t decays = views_.decay.shape[2];
    const T* decay = views_.decay.as<T>().data() + row * decays + (decays == options_.heads ? head : head * of_.k);
    for (int64_t i = 0; i < of_.k; ++i) {
      const T factor = std::exp(decays == options_.heads ? decay[0] : decay[i]);
      for (int64_t j = 0; j < of_.v; ++j) state[i * of_.v + j] *= factor;
    }
  }

  void add_row(const T* from, T factor, T* to) const {
    for (int64_t j = 0; j < of_.v; ++j) to[j] += factor * from[j];
  }

  const LinearAttentionViews& views_;
  const LinearAttentionOptions& options_;
  const Sizes& of_;
  const T *q_, *k_, *v_;
  T scale_;
};

int64_t row_bytes(DType dtype, int64_t v_size) { return round_up(v_size * static_cast<int64_t>(size_of(dtype)), 64); }

}  // namespace

size_t linear_attention_workspace(DType dtype, int64_t v_size, int threads) {
  return static_cast<size_t>(row_bytes(dtype, v_size) * threads);
}

void linear_attention(const KernelContext& context, const LinearAttentionViews& views, const LinearAttentionOptions& options) {
  const Sizes of = sizes_of(views, options);
  visit_float(views.q.dtype, [&]<class T>() {
    const Recurrence<T> recurrence(views, options, of);
    const int64_t items = of.batch * options.heads, row = row_bytes(views.q.dtype, of.v);
#pragma omp parallel for num_threads(context.threads) if (items * of.steps * of.k * of.v >= kWorkPerThread)
    for (int64_t i = 0; i < items; ++i)
      recurrence.run(i / options.heads, i % options.heads,
                     reinterpret_cast<T*>(context.workspace.data() + omp_get_thread_num() * row));
  });
}

}  // namespace tandem::cpu
