// Ops that read between pixels: grid sampling, affine grids, deformable convolution and regions of interest; and those that read
// pictures.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;

// The value at whole positions, one an axis, of one image; outside by the padding mode.
struct Image {
  Shape shape;  // spatial
  std::span<const double> pixels;
  std::string padding = "zeros";
  bool align_corners = false;

  double folded(double at, double size) const {
    const double low = align_corners ? 0 : -0.5, high = align_corners ? size - 1 : size - 0.5;
    if (padding == "border") return std::clamp(at, 0.0, size - 1);
    if (high == low) return low;
    while (at < low || at > high) at = at < low ? 2 * low - at : 2 * high - at;
    return at;
  }
  double at(const Ints& position) const {
    int64_t offset = 0;
    for (int a = 0; a < shape.rank(); ++a) {
      int64_t i = position[static_cast<size_t>(a)];
      const bool inside = i >= 0 && i < shape[a];
      if (!inside && padding == "zeros") return 0;
      if (!inside) i = static_cast<int64_t>(folded(static_cast<double>(i), static_cast<double>(shape[a])));
      offset = offset * shape[a] + i;
    }
    return pixels[static_cast<size_t>(offset)];
  }
};

double cubic(double d) {
  constexpr double a = -0.75;
  d = std::fabs(d);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

// Sums over all whole positions within 3 of `at`, axis by axis.
double read(const Image& image, std::vector<double> at, const std::string& mode) {
  const size_t axes = at.size();
  for (size_t a = 0; a < axes; ++a) {
    const auto size = static_cast<double>(image.shape[static_cast<int>(a)]);
    if (mode == "nearest") at[a] = std::nearbyint(at[a]);
    const double edge = image.align_corners ? 0 : 0.5;
    const bool folds = image.padding == "reflection" || (image.padding == "border" && mode != "cubic");
    if (folds && (at[a] < -edge || at[a] > size - 1 + edge)) at[a] = image.folded(at[a], size);
  }
  Ints position(axes);
  const std::function<double(size_t)> along = [&](size_t a) -> double {
    if (a == axes) return image.at(position);
    double sum = 0;
    for (int64_t i = static_cast<int64_t>(std::floor(at[a])) - 3; i <= static_cast<int64_t>(at[a]) + 4; ++i) {
      const double d = std::fabs(at[a] - static_cast<double>(i));
      const double weight = mode == "nearest" ? static_cast<double>(d == 0) : mode == "linear" ? std::max(0.0, 1 - d) : cubic(d);
      if (weight == 0) continue;
      position[a] = i;
      sum += weight * along(a + 1);
    }
    return sum;
  };
  return along(0);
}

Shape spatial(const Shape& x) { return Shape(x.dims().subspan(2)); }

Reference grid_sample(const std::string& mode, const std::string& padding, bool align) {
  return [=](const std::vector<Tensor>& in) {
    const Shape &xs = in[0].shape(), &gs = in[1].shape();
    const std::vector<double> x = numbers(in[0]), grid = numbers(in[1]);
    const int64_t plane = spatial(xs).elements(), axes = gs[gs.rank() - 1], points = gs.product(1, gs.rank() - 1);
    Shape shape{xs[0], xs[1]};
    for (int a = 1; a + 1 < gs.rank(); ++a) shape.push_back(gs[a]);
    std::vector<double> y;
    for (int64_t c = 0; c < xs[0] * xs[1]; ++c)
      for (int64_t p = 0; p < points; ++p) {
        std::vector<double> at(static_cast<size_t>(axes));
        for (int64_t a = 0; a < axes; ++a) {
          const double g = grid[static_cast<size_t>((c / xs[1] * points + p) * axes + axes - 1 - a)],
                       size = static_cast<double>(xs[static_cast<int>(a) + 2]);
          at[static_cast<size_t>(a)] = align ? (g + 1) / 2 * (size - 1) : ((g + 1) * size - 1) / 2;
        }
        y.push_back(
            read({spatial(xs), std::span(x).subspan(static_cast<size_t>(c * plane), static_cast<size_t>(plane)), padding, align},
                 at, mode));
      }
    return std::vector{f64(shape, y)};
  };
}

void add_grid_sample(Cases& cases) {
  for (const std::string mode : {"nearest", "linear", "cubic"})
    for (const std::string padding : {"zeros", "border", "reflection"})
      for (bool align : {false, true}) {
        Attributes attributes = {{"mode", mode}, {"padding_mode", padding}, {"align_corners", int64_t{align}}};
        const Reference reference = grid_sample(mode, padding, align);
        cases.push_back({.op = "GridSample",
                         .what = mode + " " + padding,
                         .inputs = {uniform({2, 3, 4, 5}), uniform({2, 3, 6, 2}, -1.6, 1.6, 3)},
                         .attributes = attributes,
                         .reference = reference,
                         .rtol = 1e-4,
                         .atol = 1e-5});
        cases.push_back({.op = "GridSample",
                         .what = mode + " volume",
                         .inputs = {uniform({1, 2, 3, 4, 2}), uniform({1, 2, 3, 2, 3}, -1.4, 1.4, 4)},
                         .attributes = attributes,
                         .reference = reference,
                         .rtol = 1e-4,
                         .atol = 1e-5});
        attributes["mode"] = mode == "nearest" ? mode : "bi" + mode;
        cases.push_back({.op = "GridSample",
                         .what = "of old",
                         .inputs = {uniform({1, 1, 5, 3}), uniform({1, 2, 2, 2}, -1.2, 1.2, 5)},
                         .attributes = attributes,
                         .opset = 16,
                         .reference = reference,
                         .rtol = 1e-4,
                         .atol = 1e-5});
      }
  cases.push_back({.op = "GridSample",
                   .what = "large",
                   .inputs = {uniform({2, 5, 20, 30}), uniform({2, 50, 60, 2}, -1, 1, 3)},
                   .reference = grid_sample("linear", "zeros", false),
                   .rtol = 1e-4,
                   .atol = 1e-5,
                   .gradient = false});
  const Tensor x = uniform({2, 3, 3, 4}), grid = uniform({2, 3, 2, 2}, -1.5, 1.5, 3), dy = uniform({2, 3, 3, 2}, -1, 1, 4);
  for (const std::string mode : {"nearest", "linear", "cubic"})
    for (const std::string padding : {"zeros", "border", "reflection"}) {
      const Attributes attributes = {{"mode", mode}, {"padding_mode", padding}};
      const Reference forward = grid_sample(mode, padding, false);
      cases.push_back({.op = "tandem.GridSampleInputGrad",
                       .what = mode + " " + padding,
                       .inputs = {dy, grid, x},
                       .attributes = attributes,
                       .reference = differences(forward, 0, {2, 1}, {2}),
                       .rtol = 1e-4,
                       .atol = 1e-4});
      cases.push_back({.op = "tandem.GridSampleGridGrad",
                       .what = mode + " " + padding,
                       .inputs = {dy, x, grid},
                       .attributes = attributes,
                       .reference = differences(forward, 0, {1, 2}, {2}),
                       .rtol = 1e-4,
                       .atol = 1e-4});
    }
  cases.push_back({.op = "GridSample",
                   .what = "no points",
                   .inputs = {uniform({2, 5, 2, 3}), uniform({2, 0, 6, 2})},
                   .reference = fixed(f64({2, 5, 0, 6}, {}))});
}

// theta [batch, axes, axes + 1] times the position of each pixel, which is x, y, ..., 1.
Reference affine_grid(const Shape& output, bool align) {
  return [=](const std::vector<Tensor>& in) {
    const int64_t axes = in[0].shape()[1], points = output.elements();
    const std::vector<double> theta = numbers(in[0]);
    Shape shape{in[0].shape()[0]};
    for (int64_t size : output.dims()) shape.push_back(size);
    shape.push_back(axes);
    std::vector<double> y;
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t p = 0; p < points; ++p) {
        std::vector<double> at(static_cast<size_t>(axes + 1), 1.0);
        int64_t rest = p;
        for (int64_t a = 0; a < axes; ++a) {
          const int64_t size = output[static_cast<int>(axes - 1 - a)];
          const double i = static_cast<double>(rest % size), n_pixels = static_cast<double>(size);
          at[static_cast<size_t>(a)] = align ? -1 + 2 * i / (n_pixels - 1) : -1 + (1 + 2 * i) / n_pixels;
          rest /= size;
        }
        for (int64_t row = 0; row < axes; ++row) {
          double sum = 0;
          for (int64_t a = 0; a <= axes; ++a)
            sum += theta[static_cast<size_t>((n * axes + row) * (axes + 1) + a)] * at[static_cast<size_t>(a)];
          y.push_back(sum);
        }
      }
    return std::vector{f64(shape, y)};
  };
}

void add_affine_grid(Cases& cases) {
  for (bool align : {false, true}) {
    const Attributes attributes = {{"align_corners", int64_t{align}}};
    cases.push_back({.op = "AffineGrid",
                     .inputs = {uniform({2, 2, 3}), i64({2, 3, 5, 4})},
                     .attributes = attributes,
                     .constants = {1},
                     .reference = affine_grid({5, 4}, align)});
    cases.push_back({.op = "AffineGrid",
                     .what = "volume",
                     .inputs = {uniform({1, 3, 4}), i64({1, 1, 2, 3, 4})},
                     .attributes = attributes,
                     .constants = {1},
                     .reference = affine_grid({2, 3, 4}, align)});
    cases.push_back({.op = "tandem.AffineGridGrad",
                     .inputs = {uniform({2, 5, 4, 2})},
                     .attributes = attributes,
                     .reference = [align](const std::vector<Tensor>& in) {  // linear, so at any theta
                       return differences(affine_grid({5, 4}, align), 0, {1}, {1})({in[0], Tensor(DType::kF64, {2, 2, 3})});
                     }});
  }
}

struct Deformed {
  std::string what;
  Shape x, w, y;
  Ints strides, dilations, pads;
  int64_t group = 1, offset_group = 1;

  Attributes attributes() const {
    return {{"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"group", group}, {"offset_group", offset_group}};
  }
};

// (x, w, offset, bias?, mask?) -> y
Reference deformed(const Deformed& d) {
  return [d](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]), w = numbers(in[1]), offset = numbers(in[2]);
    const std::vector<double> bias = in.size() > 3 && in[3] ? numbers(in[3]) : std::vector<double>(),
                              mask = in.size() > 4 ? numbers(in[4]) : std::vector<double>();
    const int64_t axes = d.x.rank() - 2, plane = spatial(d.x).elements(), taps = spatial(d.w).elements(),
                  out = spatial(d.y).elements();
    std::vector<double> y;
    for (int64_t i = 0; i < d.y.elements(); ++i) {
      const int64_t pixel = i % out, filter = i / out % d.y[1], n = i / out / d.y[1];
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(filter)];
      for (int64_t c = 0; c < d.w[1]; ++c)
        for (int64_t k = 0; k < taps; ++k) {
          const int64_t channel = filter / (d.w[0] / d.group) * d.w[1] + c,
                        of = n * d.offset_group + channel / (d.x[1] / d.offset_group);
          std::vector<double> at(static_cast<size_t>(axes));
          int64_t rest = pixel, tap = k;
          for (int a = static_cast<int>(axes) - 1; a >= 0; rest /= d.y[a + 2], tap /= d.w[a + 2], --a) {
            const auto s = static_cast<size_t>(a);
            at[s] = static_cast<double>(rest % d.y[a + 2] * d.strides[s] + tap % d.w[a + 2] * d.dilations[s] - d.pads[s]) +
                    offset[static_cast<size_t>(((of * taps + k) * axes + a) * out + pixel)];
          }
          const Image image{spatial(d.x),
                            std::span(x).subspan(static_cast<size_t>((n * d.x[1] + channel) * plane), static_cast<size_t>(plane)),
                            "zeros", true};
          const double scale = mask.empty() ? 1 : mask[static_cast<size_t>((of * taps + k) * out + pixel)];
          sum += w[static_cast<size_t>((filter * d.w[1] + c) * taps + k)] * scale * read(image, at, "linear");
        }
      y.push_back(sum);
    }
    return std::vector{f64(d.y, y)};
  };
}

// (x, like w, offset, mask) -> patches: a convolution with a filter for each tap of each channel.
Reference read_by_taps(Deformed d, const Shape& patches) {
  d.w.set(0, patches[1] * patches[2]);
  d.y.set(1, d.w[0]);
  return [=](const std::vector<Tensor>& in) {
    Tensor filters(DType::kF64, d.w);
    for (int64_t f = 0; f < d.w[0]; ++f) filters.as<double>()[static_cast<size_t>(f * patches[2] + f % patches[2])] = 1;
    return std::vector{deformed(d)({in[0], filters, in[2], Tensor(), in[3]})[0].reshaped(patches)};
  };
}

void add_deform_conv(Cases& cases) {
  for (const Deformed& d :
       {Deformed{"plain", {2, 2, 4, 5}, {3, 2, 2, 3}, {2, 3, 3, 3}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
        Deformed{"grouped", {1, 4, 5, 5}, {4, 2, 2, 2}, {1, 4, 3, 3}, {2, 2}, {1, 1}, {1, 1, 0, 0}, 2, 2},
        Deformed{"dilated", {1, 2, 6, 6}, {2, 2, 3, 2}, {1, 2, 4, 6}, {1, 1}, {2, 2}, {1, 1, 1, 1}, 1, 2},
        Deformed{"one axis", {1, 2, 7}, {2, 2, 3}, {1, 2, 7}, {1}, {1}, {1, 1}},
        Deformed{"three axes", {1, 1, 3, 3, 3}, {2, 1, 2, 2, 2}, {1, 2, 2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}}}) {
    const int64_t taps = spatial(d.w).elements(), axes = d.x.rank() - 2;
    Shape offset = d.y, mask = d.y;
    offset.set(1, d.offset_group * taps * axes);
    mask.set(1, d.offset_group * taps);
    const std::vector<Tensor> inputs = {uniform(d.x), uniform(d.w, -1, 1, 5), uniform(offset, -1.5, 1.5, 6),
                                        uniform({d.w[0]}, -1, 1, 7), uniform(mask, 0, 1, 8)};
    cases.push_back({.op = "DeformConv",
                     .what = d.what,
                     .inputs = inputs,
                     .attributes = d.attributes(),
                     .reference = deformed(d),
                     .rtol = 1e-4,
                     .atol = 1e-5});
    const Shape patches{d.x[0], d.group, d.x[1] / d.group * taps, spatial(d.y).elements()};
    const Reference read = read_by_taps(d, patches);
    cases.push_back({.op = "tandem.DeformPatches",
                     .what = d.what,
                     .inputs = {inputs[0], inputs[1], inputs[2], inputs[4]},
                     .attributes = d.attributes(),
                     .reference = read,
                     .rtol = 1e-4,
                     .atol = 1e-5});
    if (offset.elements() < 400)  // differences take one convolution an element
      cases.push_back({.op = "tandem.DeformPatchesGrad",
                       .what = d.what,
                       .inputs = {uniform(patches, -1, 1, 9), inputs[0], inputs[1], inputs[2], inputs[4]},
                       .attributes = d.attributes(),
                       .outputs = 3,
                       .reference = differences(read, 0, {1, 2, 3, 4}, {1, 3, 4}),
                       .rtol = 1e-4,
                       .atol = 1e-4});
    cases.push_back({.op = "DeformConv",
                     .what = d.what + " alone",
                     .inputs = {inputs[0], inputs[1], inputs[2]},
                     .attributes = d.attributes(),
                     .reference = deformed(d),
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
}

struct Regions {
  int64_t height, width, ratio;
  double scale, shift;
  bool max = false;
};

// A point up to one pixel outside reads the edge.
std::array<double, 4> corners(const Image& image, double y, double x) {
  const auto height = static_cast<double>(image.shape[0]), width = static_cast<double>(image.shape[1]);
  if (y < -1 || y > height || x < -1 || x > width) return {0, 0, 0, 0};
  y = std::clamp(y, 0.0, height - 1), x = std::clamp(x, 0.0, width - 1);
  const auto row = static_cast<int64_t>(y), column = static_cast<int64_t>(x);
  std::array<double, 4> parts{};
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t r = row + i / 2, c = column + i % 2;
    const double weight = (1 - std::fabs(y - static_cast<double>(r))) * (1 - std::fabs(x - static_cast<double>(c)));
    parts[static_cast<size_t>(i)] = weight == 0 ? 0 : weight * image.at({r, c});
  }
  return parts;
}

Reference roi_align(const Regions& r) {
  return [r](const std::vector<Tensor>& in) {
    const Shape& xs = in[0].shape();
    const std::vector<double> x = numbers(in[0]), rois = numbers(in[1]), images = numbers(in[2]);
    const auto plane = static_cast<size_t>(xs[2] * xs[3]);
    std::vector<double> y;
    for (size_t i = 0; i < images.size(); ++i)
      for (size_t c = 0; c < static_cast<size_t>(xs[1]); ++c)
        for (int64_t bin = 0; bin < r.height * r.width; ++bin) {
          const Image image{
              spatial(xs), std::span(x).subspan((static_cast<size_t>(images[i]) * static_cast<size_t>(xs[1]) + c) * plane, plane),
              "border"};
          const auto at = [&](size_t k) { return rois[4 * i + k] * r.scale - r.shift; };
          const double least = r.shift > 0 ? -1e9 : 1;
          const double width = std::max(at(2) - at(0), least) / static_cast<double>(r.width),
                       height = std::max(at(3) - at(1), least) / static_cast<double>(r.height);
          const int64_t rows = r.ratio ? r.ratio : static_cast<int64_t>(std::ceil(height)),
                        columns = r.ratio ? r.ratio : static_cast<int64_t>(std::ceil(width));
          double sum = 0, best = -1e300;
          for (int64_t p = 0; p < rows * columns; ++p) {
            const double py = at(1) + (static_cast<double>(bin / r.width) +
                                       (static_cast<double>(p / columns) + 0.5) / static_cast<double>(rows)) *
                                          height;
            const double px = at(0) + (static_cast<double>(bin % r.width) +
                                       (static_cast<double>(p % columns) + 0.5) / static_cast<double>(columns)) *
                                          width;
            for (double part : corners(image, py, px)) sum += part, best = std::max(best, part);
          }
          y.push_back(r.max ? best : sum / static_cast<double>(rows * columns));
        }
    return std::vector{f64({in[1].shape()[0], xs[1], r.height, r.width}, y)};
  };
}

void add_roi_align(Cases& cases) {
  const Tensor x = uniform({2, 3, 7, 8}), images = i64({1, 0, 1});
  const Tensor rois = f32({3, 4}, {1, 2, 9, 12, 0, 0, 15, 13.5f, 3.2f, 4.1f, 5.9f, 6.3f});
  for (const Regions& r :
       {Regions{3, 2, 2, 0.5, 0.5}, Regions{2, 3, 0, 0.5, 0.5}, Regions{2, 2, 0, 0.45, 0}, Regions{2, 2, 3, 0.5, 0.5, true}}) {
    Attributes attributes = {{"output_height", r.height},
                             {"output_width", r.width},
                             {"sampling_ratio", r.ratio},
                             {"spatial_scale", static_cast<float>(r.scale)}};
    if (r.max) attributes["mode"] = std::string("max");
    const Regions stored{r.height, r.width, r.ratio, static_cast<double>(static_cast<float>(r.scale)), r.shift, r.max};
    Case one = {.op = "RoiAlign",
                .what = r.max ? "max" : "mean",
                .inputs = {x, rois, images},
                .attributes = attributes,
                .reference = roi_align(stored),
                .rtol = 1e-4,
                .atol = 1e-5,
                .no_gradient_for = {1}};
    one.attributes["coordinate_transformation_mode"] = std::string(r.shift > 0 ? "half_pixel" : "output_half_pixel");
    cases.push_back(one);
    cases.push_back({.op = "tandem.RoiAlignGrad",
                     .what = one.what,
                     .inputs = {uniform({3, 3, r.height, r.width}, -1, 1, 2), x, rois, images},
                     .attributes = one.attributes,
                     .reference = differences(roi_align(stored), 0, {1, 2, 3}, {1}),
                     .rtol = 1e-4,
                     .atol = 1e-4});
    if (r.shift > 0) continue;
    one.opset = 10, one.attributes = attributes;
    cases.push_back(one);
  }
  cases.push_back({.op = "RoiAlign",
                   .what = "no regions",
                   .inputs = {x, f32({0, 4}, {}), i64(Shape{0}, {})},
                   .reference = fixed(f64({0, 3, 1, 1}, {})),
                   .no_gradient_for = {1}});
}

// tf.image.crop_and_resize: each point, in the plain formula, reads two pixels on each axis, or the nearest one.
struct Crops {
  std::string mode;
  int64_t height, width;
  double outside;
};

Reference crop_and_resize(const Crops& crops) {
  return [crops](const std::vector<Tensor>& in) {
    const Shape& xs = in[0].shape();
    const std::vector<double> x = numbers(in[0]), rois = numbers(in[1]), images = numbers(in[2]);
    const auto plane = static_cast<size_t>(xs[2] * xs[3]);
    const auto at = [&](int64_t i, int64_t count, double first, double last, int64_t size) {
      const double part = count == 1 ? 0.5 : static_cast<double>(i) / static_cast<double>(count - 1);
      return (first * (1 - part) + last * part) * static_cast<double>(size - 1);
    };
    std::vector<double> y;
    for (size_t r = 0; r < images.size(); ++r)
      for (size_t c = 0; c < static_cast<size_t>(xs[1]); ++c)
        for (int64_t bin = 0; bin < crops.height * crops.width; ++bin) {
          const double row = at(bin / crops.width, crops.height, rois[4 * r], rois[4 * r + 2], xs[2]),
                       column = at(bin % crops.width, crops.width, rois[4 * r + 1], rois[4 * r + 3], xs[3]);
          const Image image{
              spatial(xs), std::span(x).subspan((static_cast<size_t>(images[r]) * static_cast<size_t>(xs[1]) + c) * plane, plane),
              "zeros", true};
          const bool inside =
              row >= 0 && row <= static_cast<double>(xs[2] - 1) && column >= 0 && column <= static_cast<double>(xs[3] - 1);
          y.push_back(inside ? read(image, {row, column}, crops.mode) : crops.outside);
        }
    return std::vector{f64({in[1].shape()[0], xs[1], crops.height, crops.width}, y)};
  };
}

// Within, over the borders, turned over, the whole image and a point; no coordinate is close to a border or to half a pixel.
void add_crop_and_resize(Cases& cases) {
  const Tensor x = uniform({2, 3, 7, 8});
  const Tensor rois = f32({5, 4}, {0.1f,  0.2f,  0.7f, 0.93f, -0.3f, -0.1f, 0.8f,  1.4f,  0.9f,  0.81f,
                                   0.15f, 0.04f, 0,    0,     1,     1,     0.31f, 0.33f, 0.31f, 0.33f});
  for (const Crops& crops :
       {Crops{"linear", 4, 5, 0}, Crops{"nearest", 4, 5, 0.5}, Crops{"linear", 1, 3, -2}, Crops{"linear", 40, 1, 0.25}}) {
    const auto sizes =
        Tensor::of<int32_t>({2}, std::vector{static_cast<int32_t>(crops.height), static_cast<int32_t>(crops.width)});
    cases.push_back({.op = "com.microsoft.CropAndResize",
                     .what = crops.mode,
                     .inputs = {x, rois, Tensor::of<int32_t>({5}, std::vector<int32_t>{1, 0, 1, 0, 0}), sizes},
                     .attributes = {{"mode", crops.mode == "linear" ? std::string("bilinear") : crops.mode},
                                    {"extrapolation_value", static_cast<float>(crops.outside)}},
                     .constants = {3},
                     .reference = crop_and_resize(crops),
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
  cases.push_back({.op = "com.microsoft.CropAndResize",
                   .what = "no regions",
                   .inputs = {x, f32({0, 4}, {}), Tensor::of<int32_t>({0}, std::vector<int32_t>{}),
                              Tensor::of<int32_t>({2}, std::vector<int32_t>{2, 2})},
                   .constants = {3},
                   .reference = fixed(f64({0, 3, 2, 2}, {}))});
}

// By hand: whole pixels, bins of rounded edges.
void add_max_roi_pool(Cases& cases) {
  std::vector<float> pixels(2 * 16);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
  cases.push_back({.op = "MaxRoiPool",
                   .inputs = {f32({2, 1, 4, 4}, pixels), f32({3, 5}, {0, 0, 0, 3, 3, 1, 2, 2, 6, 6, 0, 5, 5, 7, 7})},
                   .attributes = {{"pooled_shape", Ints{2, 2}}},
                   .reference = fixed(f64({3, 1, 2, 2}, {5, 7, 13, 15, 31, 0, 0, 0, 0, 0, 0, 0}))});
  cases.push_back({.op = "MaxRoiPool",
                   .what = "scaled",
                   .inputs = {f32({2, 1, 4, 4}, pixels), f32({1, 5}, {1, 2, 2, 7, 4})},
                   .attributes = {{"pooled_shape", Ints{1, 3}}, {"spatial_scale", 0.5f}},
                   .reference = fixed(f64({1, 1, 1, 3}, {26, 27, 27}))});
}

// tests/runtime/image has the formats; here a portable graymap of two by one.
void add_image_decoder(Cases& cases) {
  const std::vector<uint8_t> file = {'P', '5', ' ', '2', ' ', '1', ' ', '2', '5', '5', '\n', 7, 200};
  const auto bytes = [](const std::vector<uint8_t>& of) { return Tensor::of<uint8_t>({static_cast<int64_t>(of.size())}, of); };
  cases.push_back({.op = "ImageDecoder", .inputs = {bytes(file)}, .reference = fixed(f64({1, 2, 3}, {7, 7, 7, 200, 200, 200}))});
  cases.push_back({.op = "ImageDecoder",
                   .what = "gray",
                   .inputs = {bytes(file)},
                   .attributes = {{"pixel_format", std::string("Grayscale")}},
                   .reference = fixed(f64({1, 2, 1}, {7, 200}))});
  cases.push_back(
      {.op = "ImageDecoder", .what = "broken", .inputs = {bytes({'P', '5', ' '})}, .reference = fixed(f64({0, 0, 0}, {}))});
}

}  // namespace

void add_sampling_cases(Cases& cases) {
  add_image_decoder(cases);
  add_grid_sample(cases);
  add_affine_grid(cases);
  add_deform_conv(cases);
  add_roi_align(cases);
  add_max_roi_pool(cases);
  add_crop_and_resize(cases);
}

}  // namespace tandem::conformance
