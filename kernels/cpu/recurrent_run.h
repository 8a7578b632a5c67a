// One direction of a recurrent op: the forward pass, with all of its steps kept (for the gradient) or only the last.
#pragma once

#include <cstring>

#include "kernels/cpu/gate_functions.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/recurrent_cells.h"

namespace tandem::cpu {

// What the workspace holds, in elements. Where steps are not kept, a tape is one step long.
template <class T>
struct RecurrentScratch {
  RecurrentScratch(const RecurrentOptions& options, const RecurrentGeometry& of, bool keep, int threads) {
    const int64_t rows = of.steps * of.batch, row = of.gates * of.hidden, state = of.batch * of.hidden,
                  tape = keep ? of.steps : 1;
    projected = take(rows * row);  // X W^T + biases, in X's order of rows
    bias = take(2 * row);
    gates = take(tape * of.batch * row);                                   // what the activations gave
    extra = options.cell == RecurrentCell::kGru ? take(tape * state) : 0;  // GRU: h of the candidate, or r * H
    h = take((keep ? of.steps + 1 : 2) * state);
    c = options.cell == RecurrentCell::kLstm ? take((keep ? of.steps + 1 : 2) * state) : 0;
    squashed = options.cell == RecurrentCell::kLstm ? take(tape * state) : 0;  // LSTM: h(C)
    gradients = keep ? take(3 * state) : 0;
    gemm = take(0);
    const GemmShape forward[] = {{rows, row, of.inputs, false, true}, {of.batch, row, of.hidden, false, true}};
    const GemmShape backward[] = {{of.batch, of.hidden, row, false, false}, {row, of.hidden, rows, true, false},
                                  {row, of.inputs, rows, true, false}, {rows, of.inputs, row, false, false}};
    size_t most = 0;
    for (const GemmShape& product : forward) most = std::max(most, gemm_workspace_bytes<T>(product, threads));
    for (const GemmShape& product : backward)
      if (keep) most = std::max(most, gemm_workspace_bytes<T>(product, threads));
    bytes = static_cast<size_t>(gemm) * sizeof(T) + most;
  }
  int64_t projected, bias, gates, extra, h, c, squashed, gradients, gemm;
  size_t bytes;

 private:
  int64_t take(int64_t elements) {
    const int64_t at = end_;
    end_ += round_up(elements, 64 / static_cast<int64_t>(sizeof(T)));
    return at;
  }
  int64_t end_ = 0;
};

// A direction's part of every tensor, whatever the layout.
struct RecurrentLayout {
  RecurrentLayout(const RecurrentOptions& options, const RecurrentGeometry& g, int64_t d)
      : of(g), batch_first(options.batch_first), direction(d), backward(d == 1 || options.reverse) {}

  int64_t row(int64_t t, int64_t b) const { return batch_first ? b * of.steps + t : t * of.batch + b; }  // of X
  int64_t y(int64_t t, int64_t b) const {
    return (batch_first ? (b * of.steps + t) * of.directions + direction : (t * of.directions + direction) * of.batch + b) *
           of.hidden;
  }
  int64_t state(int64_t b) const { return (batch_first ? b * of.directions + direction : direction * of.batch + b) * of.hidden; }
  // Where the sequence of `length` is at step s.
  int64_t time(int64_t s, int64_t length) const { return backward ? length - 1 - s : s; }

  RecurrentGeometry of;
  bool batch_first;
  int64_t direction;
  bool backward;
};

template <class T>
class RecurrentRun {
 public:
  RecurrentRun(const KernelContext& context, const RecurrentOptions& options, const RecurrentWeights& weights,
               const RecurrentInputs& in, const RecurrentGeometry& of, int64_t direction, bool keep)
      : options_(options),
        weights_(weights),
        in_(in),
        of_(of),
        layout_(options, of, direction),
        scratch_(options, of, keep, context.threads),
        keep_(keep),
        context_(context),
        memory_(reinterpret_cast<T*>(context.workspace.data())),
        clip_(static_cast<T>(options.clip)),
        act_(options.activations[static_cast<size_t>(direction)]) {
    ensure(context.workspace.size() >= scratch_.bytes, "workspace of a recurrent op is too small", context.workspace.size(),
           scratch_.bytes);
    context_.workspace = context.workspace.subspan(static_cast<size_t>(scratch_.gemm) * sizeof(T));
    const int64_t d = direction;
    if (in.w.data) w_ = in.w.as<T>().data() + d * row() * of.inputs;  // weights that were packed may be gone
    if (in.r.data) r_ = in.r.as<T>().data() + d * row() * of.hidden;
    peepholes_ = in.peepholes ? in.peepholes.as<T>().data() + d * 3 * of.hidden : nullptr;
    plain_ = is_plain();
  }

  void run(const RecurrentOutputs& out) {
    project();
    start();
    for (int64_t s = 0; s < of_.steps; ++s) step(s, out);
    finish(out);
  }

  // For the backward pass.
  int64_t row() const { return of_.gates * of_.hidden; }
  int64_t state_size() const { return of_.batch * of_.hidden; }
  T* at(int64_t offset) const { return memory_ + offset; }
  T* gates(int64_t s) const { return memory_ + scratch_.gates + (keep_ ? s : 0) * of_.batch * row(); }
  T* extra(int64_t s) const { return memory_ + scratch_.extra + (keep_ ? s : 0) * state_size(); }
  T* squashed(int64_t s) const { return memory_ + scratch_.squashed + (keep_ ? s : 0) * state_size(); }
  T* h(int64_t s) const { return memory_ + scratch_.h + (keep_ ? s : s % 2) * state_size(); }  // before step s
  T* c(int64_t s) const { return memory_ + scratch_.c + (keep_ ? s : s % 2) * state_size(); }
  const RecurrentScratch<T>& scratch() const { return scratch_; }
  const RecurrentLayout& layout() const { return layout_; }
  const KernelContext& context() const { return context_; }
  const T* w() const { return w_; }
  const T* r() const { return r_; }
  const T* peepholes() const { return peepholes_; }
  int64_t length(int64_t b) const { return in_.lengths ? in_.lengths.as<int32_t>()[static_cast<size_t>(b)] : of_.steps; }

 private:
  // c[rows, n] = a[rows, k] b^T, b being n rows of k.
  void multiply(const T* a, int64_t rows, int64_t k, const T* b, int64_t n, const PackedMatrix* packed, const T* bias, T* c,
                int64_t ldc) {
    GemmArgs<T> args;
    args.a = a, args.lda = k;
    args.b = b, args.ldb = k;
    args.packed_b = packed;
    args.c = c, args.ldc = ldc;
    args.bias = bias;
    gemm<T>(context_, {rows, n, k, false, true}, args);
  }
  const PackedMatrix* packed(const std::vector<PackedMatrix>& all) const {
    return all.empty() ? nullptr : &all[static_cast<size_t>(layout_.direction)];
  }

  bool resets_late() const { return options_.cell == RecurrentCell::kGru && options_.linear_before_reset; }
  bool resets_early() const { return options_.cell == RecurrentCell::kGru && !options_.linear_before_reset; }

  void project() {
    T* bias = memory_ + scratch_.bias;
    std::fill_n(bias, 2 * row(), T{0});
    if (in_.b) {
      const T* b = in_.b.as<T>().data() + layout_.direction * 2 * row();
      std::copy_n(b, 2 * row(), bias);
      // Rb joins Wb, but for the candidate of a GRU that is reset late.
      const int64_t joined = resets_late() ? 2 * of_.hidden : row();
      for (int64_t i = 0; i < joined; ++i) bias[i] += b[row() + i];
    }
    multiply(in_.x.as<T>().data(), of_.steps * of_.batch, of_.inputs, w_, row(), packed(weights_.w), bias,
             memory_ + scratch_.projected, row());
  }

  void start() {
    for (int64_t b = 0; b < of_.batch; ++b) {
      load_state(in_.initial_h, b, h(0));
      if (options_.cell == RecurrentCell::kLstm) load_state(in_.initial_c, b, c(0));
    }
  }
  void load_state(ConstTensorView from, int64_t b, T* to) const {
    if (from)
      std::copy_n(from.as<T>().data() + layout_.state(b), of_.hidden, to + b * of_.hidden);
    else
      std::fill_n(to + b * of_.hidden, of_.hidden, T{0});
  }

  void step(int64_t s, const RecurrentOutputs& out) {
    const int64_t n = of_.hidden;
    if (resets_early())
      multiply(h(s), of_.batch, n, r_, 2 * n, packed(weights_.r_gates), nullptr, gates(s), row());
    else
      multiply(h(s), of_.batch, n, r_, row(), packed(weights_.r), nullptr, gates(s), row());
    T* y = out.y ? out.y.as<T>().data() : nullptr;
    const auto give = [&](int64_t b, int64_t t) {
      if (y) std::copy_n(h(s + 1) + b * n, n, y + layout_.y(t, b));
    };
    each_sequence(s, [&](int64_t b, int64_t t) {
      first_half(s, b, t);
      if (!resets_early()) give(b, t);
    });
    if (!resets_early()) return;
    multiply(extra(s), of_.batch, n, r_ ? r_ + 2 * n * n : nullptr, n, packed(weights_.r_candidate), nullptr, gates(s) + 2 * n, row());
    each_sequence(s, [&](int64_t b, int64_t t) {
      candidate(s, b, t);
      give(b, t);
    });
  }

  // body(b, t) for each sequence that is not over at step s; the others keep their state.
  template <class Body>
  void each_sequence(int64_t s, Body body) {
    parallel_chunks(context_, of_.batch, grain_of(4 * row()), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        if (s < length(b)) {
          body(b, layout_.time(s, length(b)));
          continue;
        }
        std::copy_n(h(s) + b * of_.hidden, of_.hidden, h(s + 1) + b * of_.hidden);
        if (options_.cell == RecurrentCell::kLstm) std::copy_n(c(s) + b * of_.hidden, of_.hidden, c(s + 1) + b * of_.hidden);
        if (options_.cell == RecurrentCell::kGru) std::fill_n(extra(s) + b * of_.hidden, of_.hidden, T{0});
      }
    });
  }

  const T* projection(int64_t b, int64_t t) const { return memory_ + scratch_.projected + layout_.row(t, b) * row(); }
  void add_projection(T* gate, int64_t b, int64_t t, int64_t first, int64_t n) const {
    const T* x = projection(b, t) + first;
    for (int64_t i = 0; i < n; ++i) gate[first + i] += x[i];
  }

  // The cell that one sweep can do: ONNX's default functions, and nothing besides.
  bool is_plain() const {
    const auto is = [&](size_t i, GateFunction function) { return act_[i].function == function; };
    return std::is_same_v<T, float> && clip_ == 0 && !peepholes_ && !options_.input_forget && is(0, GateFunction::kSigmoid) &&
           is(1, GateFunction::kTanh) && (options_.cell != RecurrentCell::kLstm || is(2, GateFunction::kTanh));
  }

  void first_half(int64_t s, int64_t b, int64_t t) const {
    const int64_t n = of_.hidden;
    T *gate = gates(s) + b * row(), *next = h(s + 1) + b * n;
    switch (options_.cell) {
      case RecurrentCell::kRnn:
        add_projection(gate, b, t, 0, n);
        apply_gate(act_[0], clip_, gate, n);
        std::copy_n(gate, n, next);
        return;
      case RecurrentCell::kLstm: return long_short(s, b, t);
      case RecurrentCell::kGru: break;
    }
    T* kept = extra(s) + b * n;
    if constexpr (std::is_same_v<T, float>)
      if (plain_ && options_.linear_before_reset)
        return simd::gru_step({gate, projection(b, t), memory_ + scratch_.bias + row() + 2 * n, h(s) + b * n, kept, next}, n);
    add_projection(gate, b, t, 0, 2 * n);
    apply_gate(act_[0], clip_, gate, 2 * n);
    const T* reset = gate + n;
    if (!options_.linear_before_reset) {
      for (int64_t i = 0; i < n; ++i) kept[i] = reset[i] * h(s)[b * n + i];
      return;
    }
    const T* recurrent_bias = memory_ + scratch_.bias + row() + 2 * n;
    for (int64_t i = 0; i < n; ++i) {
      kept[i] = gate[2 * n + i] + recurrent_bias[i];
      gate[2 * n + i] = reset[i] * kept[i];
    }
    candidate(s, b, t);
  }

  void candidate(int64_t s, int64_t b, int64_t t) const {
    const int64_t n = of_.hidden;
    T *gate = gates(s) + b * row(), *next = h(s + 1) + b * n;
    const T* old = h(s) + b * n;
    add_projection(gate, b, t, 2 * n, n);
    apply_gate(act_[1], clip_, gate + 2 * n, n);
    for (int64_t i = 0; i < n; ++i) next[i] = (1 - gate[i]) * gate[2 * n + i] + gate[i] * old[i];
  }

  void long_short(int64_t s, int64_t b, int64_t t) const {
    const int64_t n = of_.hidden;
    T *input = gates(s) + b * row(), *output = input + n, *forget = output + n, *cell = forget + n;
    const T* old = c(s) + b * n;
    T *now = c(s + 1) + b * n, *squash = squashed(s) + b * n, *next = h(s + 1) + b * n;
    if constexpr (std::is_same_v<T, float>)
      if (plain_) return simd::lstm_step({input, projection(b, t), old, now, squash, next}, n);
    add_projection(input, b, t, 0, row());
    if (peepholes_) add_peephole(peepholes_, old, input);
    if (peepholes_) add_peephole(peepholes_ + 2 * n, old, forget);
    apply_gate(act_[0], clip_, input, n);
    if (options_.input_forget)
      for (int64_t i = 0; i < n; ++i) forget[i] = 1 - input[i];
    else
      apply_gate(act_[0], clip_, forget, n);
    apply_gate(act_[1], clip_, cell, n);
    for (int64_t i = 0; i < n; ++i) now[i] = forget[i] * old[i] + input[i] * cell[i];
    if (peepholes_) add_peephole(peepholes_ + n, now, output);
    apply_gate(act_[0], clip_, output, n);
    std::copy_n(now, n, squash);
    apply_gate(act_[2], T{0}, squash, n);
    for (int64_t i = 0; i < n; ++i) next[i] = output[i] * squash[i];
  }
  void add_peephole(const T* weights, const T* state, T* gate) const {
    for (int64_t i = 0; i < of_.hidden; ++i) gate[i] += weights[i] * state[i];
  }

  void finish(const RecurrentOutputs& out) const {
    for (int64_t b = 0; b < of_.batch; ++b) {
      if (out.y_h) std::copy_n(h(of_.steps) + b * of_.hidden, of_.hidden, out.y_h.as<T>().data() + layout_.state(b));
      if (out.y_c) std::copy_n(c(of_.steps) + b * of_.hidden, of_.hidden, out.y_c.as<T>().data() + layout_.state(b));
    }
  }

  const RecurrentOptions& options_;
  const RecurrentWeights& weights_;
  const RecurrentInputs& in_;
  const RecurrentGeometry of_;
  RecurrentLayout layout_;
  RecurrentScratch<T> scratch_;
  bool keep_;
  KernelContext context_;  // with what is left of the workspace for products
  T* memory_;
  T clip_;
  const std::array<GateActivation, 3>& act_;
  const T *w_ = nullptr, *r_ = nullptr, *peepholes_ = nullptr;
  bool plain_ = false;
};

// Throws InvalidArgument for a length outside the steps, or optional inputs of the wrong shape.
void check_recurrent(const RecurrentOptions&, const RecurrentInputs&, const RecurrentGeometry&);

}  // namespace tandem::cpu
