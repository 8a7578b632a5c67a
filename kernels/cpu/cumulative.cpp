#include "kernels/api/reduce.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/reduce_ops.h"

namespace tandem::cpu {
namespace {

template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, T>;

template <class Op>
void accumulate(const KernelContext& context, ConstTensorView x, TensorView y, int axis, Cumulative options) {
  const AxisView view(x.shape, axis);
  visit_arithmetic(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, view.outer * view.inner, grain_of(view.length), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const int64_t first = o / view.inner * view.length * view.inner + o % view.inner;
        Wide<T> total = Op::template neutral<Wide<T>>();
        for (int64_t i = 0; i < view.length; ++i) {
          const int64_t at = first + (options.reverse ? view.length - 1 - i : i) * view.inner;
          const Wide<T> with = Op::join(total, static_cast<Wide<T>>(in[at]));
          out[at] = static_cast<T>(options.exclusive ? total : with);
          total = with;
        }
      }
    });
  });
}

}  // namespace

void cumsum(const KernelContext& context, ConstTensorView x, TensorView y, int axis, Cumulative options) {
  accumulate<reduction::Add>(context, x, y, axis, options);
}

void cumprod(const KernelContext& context, ConstTensorView x, TensorView y, int axis, Cumulative options) {
  accumulate<reduction::Prod>(context, x, y, axis, options);
}

// dx_j is the product of what comes before j, times the sum over later i of dy_i and the product of x between j and i.
void cumprod_grad(const KernelContext& context, ConstTensorView x, ConstTensorView dy, TensorView dx, int axis,
                  Cumulative options) {
  const AxisView view(x.shape, axis);
  accumulate<reduction::Prod>(context, x, dx, axis, {.exclusive = true, .reverse = options.reverse});
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *upstream = dy.as<T>().data();
    T* out = dx.as<T>().data();
    parallel_chunks(context, view.outer * view.inner, grain_of(view.length), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const int64_t first = o / view.inner * view.length * view.inner + o % view.inner;
        double carry = 0;
        for (int64_t i = view.length - 1; i >= 0; --i) {
          const int64_t at = first + (options.reverse ? view.length - 1 - i : i) * view.inner;
          const auto here = static_cast<double>(upstream[at]), value = static_cast<double>(in[at]);
          const double behind = options.exclusive ? carry : here + carry;
          out[at] = static_cast<T>(static_cast<double>(out[at]) * behind);
          carry = options.exclusive ? here + value * carry : value * behind;
        }
      }
    });
  });
}

void product_of_others(const KernelContext& context, ConstTensorView x, TensorView y, int axis) {
  const AxisView view(x.shape, axis);
  accumulate<reduction::Prod>(context, x, y, axis, {.exclusive = true});
  visit_arithmetic(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, view.outer * view.inner, grain_of(view.length), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const int64_t first = o / view.inner * view.length * view.inner + o % view.inner;
        T behind{1};
        for (int64_t i = view.length - 1; i >= 0; --i) {
          const int64_t at = first + i * view.inner;
          out[at] = reduction::product(out[at], behind);
          behind = reduction::product(behind, in[at]);
        }
      }
    });
  });
}

}  // namespace tandem::cpu
