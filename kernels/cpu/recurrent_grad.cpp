// Backpropagation through time. The forward pass is run again with all steps kept; then, from the last step to the first, the
// gradients of what the activations got take the place of what they gave. The weights' gradients are one product over all steps
// each.
#include "kernels/cpu/recurrent_run.h"

namespace tandem::cpu {
namespace {

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

// out[i] = sum over rows of x[row * ld + i]
template <class T>
void sum_rows(const KernelContext& context, const T* x, int64_t rows, int64_t columns, int64_t ld, T* out) {
  constexpr int64_t kColumns = 64;
  parallel_chunks(context, columns, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kColumns) {
      std::array<double, kColumns> sums{};
      const int64_t n = std::min(kColumns, end - first);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t i = 0; i < n; ++i) sums[static_cast<size_t>(i)] += static_cast<double>(x[r * ld + first + i]);
      for (int64_t i = 0; i < n; ++i) out[first + i] = static_cast<T>(sums[static_cast<size_t>(i)]);
    }
  });
}

template <class T>
class RecurrentBackward {
 public:
  RecurrentBackward(const KernelContext& context, const RecurrentOptions& options, const RecurrentInputs& in,
                    const RecurrentGeometry& of, int64_t direction, const RecurrentGrads& out)
      : options_(options),
        in_(in),
        out_(out),
        of_(of),
        run_(context, options, unpacked_, in, of, direction, true),
        act_(options.activations[static_cast<size_t>(direction)]),
        direction_(direction) {
    dh_ = run_.at(run_.scratch().gradients);
    dc_ = dh_ + run_.state_size();
    through_ = dc_ + run_.state_size();
    projected_ = run_.at(run_.scratch().projected);
    dpeepholes_ = data_or_null<T>(out.dpeepholes);
    if (dpeepholes_) dpeepholes_ += direction * 3 * of.hidden;
  }

  void run(ConstTensorView dy, ConstTensorView dy_h, ConstTensorView dy_c) {
    run_.run({});
    // From here on `projected` holds the gradients of X W^T; rows after the end of a sequence stay zero.
    std::fill_n(projected_, of_.steps * of_.batch * run_.row(), T{0});
    for (int64_t b = 0; b < of_.batch; ++b) {
      load(dy_h, b, dh_);
      load(dy_c, b, dc_);
    }
    if (dpeepholes_) std::fill_n(dpeepholes_, 3 * of_.hidden, T{0});
    for (int64_t s = of_.steps - 1; s >= 0; --s) step(s, dy);
    weights();
    for (int64_t b = 0; b < of_.batch; ++b) {
      store(dh_, b, out_.dinitial_h);
      store(dc_, b, out_.dinitial_c);
    }
  }

 private:
  void load(ConstTensorView from, int64_t b, T* to) const {
    if (from)
      std::copy_n(from.as<T>().data() + run_.layout().state(b), of_.hidden, to + b * of_.hidden);
    else
      std::fill_n(to + b * of_.hidden, of_.hidden, T{0});
  }
  void store(const T* from, int64_t b, TensorView to) const {
    if (to) std::copy_n(from + b * of_.hidden, of_.hidden, to.as<T>().data() + run_.layout().state(b));
  }

  void step(int64_t s, ConstTensorView dy) {
    const int64_t n = of_.hidden;
    for (int64_t b = 0; b < of_.batch; ++b) {
      T *gate = run_.gates(s) + b * run_.row(), *dh = dh_ + b * n;
      if (s >= run_.length(b)) {
        std::fill_n(gate, run_.row(), T{0});
        std::copy_n(dh, n, through_ + b * n);
        continue;
      }
      const int64_t t = run_.layout().time(s, run_.length(b));
      if (dy) {
        const T* given = dy.as<T>().data() + run_.layout().y(t, b);
        for (int64_t i = 0; i < n; ++i) dh[i] += given[i];
      }
      T* projected = projected_ + run_.layout().row(t, b) * run_.row();
      switch (options_.cell) {
        case RecurrentCell::kRnn: rnn(b, gate, dh, projected); break;
        case RecurrentCell::kLstm: lstm(s, b, gate, dh, projected); break;
        case RecurrentCell::kGru: gru(s, b, gate, dh, projected); break;
      }
    }
    if (resets_early()) reset_early(s);
    multiply({of_.batch, n, resets_early() ? 2 * n : run_.row(), false, false}, run_.gates(s), run_.row(), run_.r(), n, through_,
             dh_, n);
  }

  bool resets_early() const { return options_.cell == RecurrentCell::kGru && !options_.linear_before_reset; }

  // c = a * b + addend; the addend lies as c does.
  void multiply(const GemmShape& shape, const T* a, int64_t lda, const T* b, int64_t ldb, const T* addend, T* c,
                int64_t ldc) const {
    GemmArgs<T> args;
    args.a = a, args.lda = lda;
    args.b = b, args.ldb = ldb;
    args.c = c, args.ldc = ldc;
    args.addend = addend, args.ld_addend = ldc;
    gemm<T>(run_.context(), shape, args);
  }

  void rnn(int64_t b, T* gate, const T* dh, T* projected) const {
    for (int64_t i = 0; i < of_.hidden; ++i) projected[i] = gate[i] = dh[i] * gate_slope(act_[0], gate[i]);
    std::fill_n(through_ + b * of_.hidden, of_.hidden, T{0});
  }

  void lstm(int64_t s, int64_t b, T* gate, const T* dh, T* projected) const {
    const int64_t n = of_.hidden;
    const T *old = run_.c(s) + b * n, *now = run_.c(s + 1) + b * n, *squash = run_.squashed(s) + b * n, *p = run_.peepholes();
    T* dc = dc_ + b * n;
    for (int64_t i = 0; i < n; ++i) {
      const T input = gate[i], output = gate[n + i], forget = gate[2 * n + i], cell = gate[3 * n + i];
      const T d_output = dh[i] * squash[i] * gate_slope(act_[0], output);
      const T d_state = dc[i] + dh[i] * output * gate_slope(act_[2], squash[i]) + (p ? d_output * p[n + i] : T{0});
      const T d_coupled = options_.input_forget ? d_state * old[i] : T{0};
      const T d_input = (d_state * cell - d_coupled) * gate_slope(act_[0], input);
      const T d_forget = options_.input_forget ? T{0} : d_state * old[i] * gate_slope(act_[0], forget);
      gate[i] = d_input, gate[n + i] = d_output, gate[2 * n + i] = d_forget;
      gate[3 * n + i] = d_state * input * gate_slope(act_[1], cell);
      dc[i] = d_state * forget + (p ? d_input * p[i] + d_forget * p[2 * n + i] : T{0});
      if (!dpeepholes_) continue;
      dpeepholes_[i] += d_input * old[i];
      dpeepholes_[n + i] += d_output * now[i];
      dpeepholes_[2 * n + i] += d_forget * old[i];
    }
    std::copy_n(gate, run_.row(), projected);
    std::fill_n(through_ + b * n, n, T{0});
  }

  void gru(int64_t s, int64_t b, T* gate, const T* dh, T* projected) const {
    const int64_t n = of_.hidden;
    const T *old = run_.h(s) + b * n, *kept = run_.extra(s) + b * n;
    for (int64_t i = 0; i < n; ++i) {
      const T update = gate[i], reset = gate[n + i], candidate = gate[2 * n + i];
      const T d_candidate = dh[i] * (1 - update) * gate_slope(act_[1], candidate);
      gate[i] = projected[i] = dh[i] * (old[i] - candidate) * gate_slope(act_[0], update);
      gate[2 * n + i] = projected[2 * n + i] = d_candidate;
      through_[b * n + i] = dh[i] * update;
      if (resets_early()) continue;  // the reset gate follows in reset_early
      gate[n + i] = projected[n + i] = d_candidate * kept[i] * gate_slope(act_[0], reset);
      gate[2 * n + i] = d_candidate * reset;
    }
  }

  // The gradient of r * H is that of the candidate times R.
  void reset_early(int64_t s) const {
    const int64_t n = of_.hidden;
    multiply({of_.batch, n, n, false, false}, run_.gates(s) + 2 * n, run_.row(), run_.r() + 2 * n * n, n, nullptr, dh_, n);
    for (int64_t b = 0; b < of_.batch; ++b) {
      if (s >= run_.length(b)) continue;
      T* gate = run_.gates(s) + b * run_.row() + n;
      T* projected = projected_ + run_.layout().row(run_.layout().time(s, run_.length(b)), b) * run_.row() + n;
      for (int64_t i = 0; i < n; ++i) {
        const T reset = gate[i], d_product = dh_[b * n + i];
        gate[i] = projected[i] = d_product * run_.h(s)[b * n + i] * gate_slope(act_[0], reset);
        through_[b * n + i] += d_product * reset;
      }
    }
  }

  void weights() const {
    const int64_t n = of_.hidden, row = run_.row(), rows = of_.steps * of_.batch;
    const T* gates = run_.gates(0);
    if (T* dr = data_or_null<T>(out_.dr)) {
      dr += direction_ * row * n;
      multiply({resets_early() ? 2 * n : row, n, rows, true, false}, gates, row, run_.h(0), n, nullptr, dr, n);
      if (resets_early()) multiply({n, n, rows, true, false}, gates + 2 * n, row, run_.extra(0), n, nullptr, dr + 2 * n * n, n);
    }
    if (T* dw = data_or_null<T>(out_.dw))
      multiply({row, of_.inputs, rows, true, false}, projected_, row, in_.x.as<T>().data(), of_.inputs, nullptr,
               dw + direction_ * row * of_.inputs, of_.inputs);
    if (T* dx = data_or_null<T>(out_.dx))
      multiply({rows, of_.inputs, row, false, false}, projected_, row, run_.w(), of_.inputs, direction_ ? dx : nullptr, dx,
               of_.inputs);
    if (T* db = data_or_null<T>(out_.db)) {
      sum_rows(run_.context(), projected_, rows, row, row, db + direction_ * 2 * row);
      sum_rows(run_.context(), gates, rows, row, row, db + (direction_ * 2 + 1) * row);
    }
  }

  const RecurrentOptions& options_;
  const RecurrentInputs& in_;
  const RecurrentGrads& out_;
  const RecurrentGeometry of_;
  const RecurrentWeights unpacked_;
  RecurrentRun<T> run_;
  const std::array<GateActivation, 3>& act_;
  int64_t direction_;
  T *dh_, *dc_, *through_, *projected_, *dpeepholes_;
};

}  // namespace

size_t recurrent_grad_workspace(DType dtype, const RecurrentOptions& options, const RecurrentGeometry& of, int threads) {
  return visit_float(dtype, [&]<class T>() { return RecurrentScratch<T>(options, of, true, threads).bytes; });
}

void recurrent_grad(const KernelContext& context, const RecurrentOptions& options, const RecurrentInputs& in, ConstTensorView dy,
                    ConstTensorView dy_h, ConstTensorView dy_c, const RecurrentGrads& out) {
  require(options.clip == 0, "a recurrent op that clips has no gradient", options.clip);
  const RecurrentGeometry of = recurrent_geometry(options, in.x.shape, in.w.shape, in.r.shape);
  check_recurrent(options, in, of);
  visit_float(in.x.dtype, [&]<class T>() {
    for (int64_t d = 0; d < of.directions; ++d) RecurrentBackward<T>(context, options, in, of, d, out).run(dy, dy_h, dy_c);
  });
}

}  // namespace tandem::cpu
