"""Pictures made larger and smaller by scales that are no fractions of small numbers: which pixel is the nearest is decided by rounding."""
from torch_export import MANY, Sample, torch_network
from language_networks import wrapped

SIZES = ((2, 3, 12, 10), (1, 3, 9, 16), (3, 3, 20, 7))


@torch_network(exporters=MANY)
def resized_pictures(torch):
    resized = torch.nn.functional.interpolate

    def forward(self, pictures):
        height, width = pictures.shape[2:]
        return (resized(pictures, scale_factor=1.7, mode="nearest"), resized(pictures, scale_factor=(0.7, 2.3), mode="nearest"),
                resized(pictures, size=(height * 2 + 1, width // 2), mode="bilinear"), resized(pictures, size=(17, 9), mode="bicubic"))
    return Sample(wrapped(torch, forward), [(torch.randn(size),) for size in SIZES], ["pictures"],
                  {"pictures": {0: "batch", 2: "height", 3: "width"}})
