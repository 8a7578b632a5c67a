// A group of one batch item is one run of memory: statistics are row sums over it, and each of its channels is a part with its
// own scale.
#include "kernels/api/group_norm.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

struct Groups {
  int64_t batch, count, channels, plane;  // channels of one group
  int64_t shared;                         // channels that share one scale

  Groups(const Shape& x, const Shape& scale, int64_t groups)
      : batch(x[0]), count(groups), channels(0), plane(x.product(2, x.rank())), shared(1) {
    ensure(groups >= 1 && x[1] % groups == 0, "channels do not divide into groups", x[1], groups);
    channels = x[1] / groups;
    ensure(scale.elements() == x[1] || scale.elements() == groups, "one scale a channel or a group is needed", scale.elements());
    shared = scale.elements() == x[1] ? 1 : channels;
  }
  int64_t size() const { return channels * plane; }
  size_t scale_of(int64_t group, int64_t channel) const { return static_cast<size_t>((group * channels + channel) / shared); }
};

struct Statistics {
  double mean, inverse;
};

template <class T>
Statistics statistics(const simd::RowOps<T>& row, const T* x, int64_t n, double epsilon) {
  const double mean = static_cast<double>(row.sum(x, n)) / static_cast<double>(n);
  const double var = static_cast<double>(row.squared_deviation(x, n, static_cast<T>(mean))) / static_cast<double>(n);
  return {mean, 1 / std::sqrt(var + epsilon)};
}

// Sums over one channel of dy, and of dy * (x - mean).
struct ChannelSums {
  double dy, centered;
};

template <class T>
class Grad {
 public:
  Grad(const GroupNormGradViews& views, const Groups& groups, double epsilon)
      : groups_(groups),
        epsilon_(epsilon),
        x_(views.x.as<T>().data()),
        dy_(views.dy.as<T>().data()),
        scale_(views.scale.as<T>()),
        dx_(views.dx ? views.dx.as<T>().data() : nullptr),
        dscale_(views.dscale ? views.dscale.as<T>().data() : nullptr),
        dbias_(views.dbias ? views.dbias.as<T>().data() : nullptr) {}

  // All batch items of one group, in order.
  void run(int64_t group) const {
    for (int64_t c = 0; c < groups_.channels; ++c) {
      if (dscale_) dscale_[groups_.scale_of(group, c)] = 0;
      if (dbias_) dbias_[groups_.scale_of(group, c)] = 0;
    }
    for (int64_t item = 0; item < groups_.batch; ++item) add_item(group, (item * groups_.count + group) * groups_.size());
  }

 private:
  void add_item(int64_t group, int64_t start) const {
    const Statistics of = statistics(row_, x_ + start, groups_.size(), epsilon_);
    double total_dy = 0, total_centered = 0;  // weighted by scale
    for (int64_t c = 0; c < groups_.channels; ++c) {
      const T *x = x_ + start + c * groups_.plane, *dy = dy_ + start + c * groups_.plane;
      const double sum = static_cast<double>(row_.sum(dy, groups_.plane));
      const double centered = static_cast<double>(row_.dot(x, dy, groups_.plane, static_cast<T>(of.mean)));
      const size_t at = groups_.scale_of(group, c);
      if (dscale_) dscale_[at] += static_cast<T>(centered * of.inverse);
      if (dbias_) dbias_[at] += static_cast<T>(sum);
      total_dy += static_cast<double>(scale_[at]) * sum;
      total_centered += static_cast<double>(scale_[at]) * centered;
    }
    if (!dx_) return;
    const double n = static_cast<double>(groups_.size()), b = -of.inverse * of.inverse * of.inverse * total_centered / n;
    const double c0 = -of.inverse * total_dy / n - b * of.mean;
    for (int64_t c = 0; c < groups_.channels; ++c) {
      const int64_t at = start + c * groups_.plane;
      const double a = static_cast<double>(scale_[groups_.scale_of(group, c)]) * of.inverse;
      row_.combine(dy_ + at, x_ + at, dx_ + at, groups_.plane, static_cast<T>(a), static_cast<T>(b), static_cast<T>(c0));
    }
  }

  const simd::RowOps<T>& row_ = simd::row_ops<T>();
  Groups groups_;
  double epsilon_;
  const T *x_, *dy_;
  std::span<const T> scale_;
  T *dx_, *dscale_, *dbias_;
};

}  // namespace

void group_norm(const KernelContext& context, ConstTensorView x, ConstTensorView scale, ConstTensorView bias, int64_t count,
                TensorView y, double epsilon) {
  const Groups groups(x.shape, scale.shape, count);
  if (x.elements() == 0) return;
  visit_float(x.dtype, [&]<class T>() {
    const simd::RowOps<T>& row = simd::row_ops<T>();
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    const auto scales = scale.as<T>(), offsets = bias.as<T>();
    parallel_chunks(context, groups.batch * groups.count, grain_of(groups.size()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Statistics of = statistics(row, in + i * groups.size(), groups.size(), epsilon);
        for (int64_t c = 0; c < groups.channels; ++c) {
          const int64_t at = i * groups.size() + c * groups.plane;
          const size_t s = groups.scale_of(i % groups.count, c);
          const double slope = static_cast<double>(scales[s]) * of.inverse;
          row.affine(in + at, out + at, groups.plane, static_cast<T>(slope),
                     static_cast<T>(static_cast<double>(offsets[s]) - of.mean * slope));
        }
      }
    });
  });
}

void group_norm_grad(const KernelContext& context, const GroupNormGradViews& views, int64_t count, double epsilon) {
  const Groups groups(views.x.shape, views.scale.shape, count);
  visit_float(views.x.dtype, [&]<class T>() {
    const Grad<T> grad(views, groups, epsilon);
    parallel_chunks(context, count, grain_of(groups.batch * groups.size()), [&](int64_t begin, int64_t end) {
      for (int64_t group = begin; group < end; ++group) grad.run(group);
    });
  });
}

}  // namespace tandem::cpu
