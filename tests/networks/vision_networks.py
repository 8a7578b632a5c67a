"""Classifiers and segmentation of torchvision, whole, on small images; where a network has hundreds of MB of weights, with fewer blocks."""
from torch_export import MANY, USUAL, Sample, torch_network


def images(torch, module, size=64, batches=(2, 1, 3)):
    """Batch sizes vary within the session."""
    return Sample(module, [(torch.randn(n, 3, size, size),) for n in batches], ["images"], {"images": {0: "batch"}})


def vision(exporters=USUAL, **options):
    return torch_network(needs=("torchvision",), exporters=exporters, **options)


def model(name, **options):
    import torchvision
    return getattr(torchvision.models, name)(weights=None, **options)


@vision(MANY)
def resnet18(torch):
    return images(torch, model("resnet18"))


@vision()
def resnet50(torch):
    return images(torch, model("resnet50"))


@vision(MANY)
def mobilenet_v2(torch):
    return images(torch, model("mobilenet_v2"))


@vision()
def mobilenet_v3(torch):
    return images(torch, model("mobilenet_v3_large"))


@vision()
def efficientnet_b0(torch):
    return images(torch, model("efficientnet_b0"))


@vision()
def densenet121(torch):
    return images(torch, model("densenet121"))


@vision()
def vgg16(torch):
    """The two layers of 4,096 are left out: 480 MB; so is the pooling, which would enlarge what is left of a small image."""
    module = model("vgg16")
    module.avgpool = torch.nn.Identity()
    module.classifier = torch.nn.Sequential(torch.nn.Linear(512 * 2 * 2, 10))
    return images(torch, module)


@vision()
def inception_v3(torch):
    return images(torch, model("inception_v3", init_weights=False, aux_logits=True), size=96)


@vision()
def shufflenet_v2(torch):
    return images(torch, model("shufflenet_v2_x1_0"))


@vision()
def googlenet(torch):
    return images(torch, model("googlenet", init_weights=False))


@vision()
def squeezenet(torch):
    return images(torch, model("squeezenet1_1"))


@vision()
def mnasnet(torch):
    return images(torch, model("mnasnet1_0"))


@vision()
def regnet(torch):
    return images(torch, model("regnet_y_400mf"))


@vision()
def convnext_tiny(torch):
    """3, 3, 3, 3 blocks for 3, 3, 9, 3."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt
    widths = [96, 192, 384, 768, None]
    return images(torch, ConvNeXt([CNBlockConfig(a, b, 3) for a, b in zip(widths, widths[1:])]))


@vision(MANY)
def vit_base(torch):
    """3 layers for 12."""
    from torchvision.models import VisionTransformer
    return images(torch, VisionTransformer(image_size=64, patch_size=16, num_layers=3, num_heads=12, hidden_dim=768, mlp_dim=3072))


@vision(MANY)
def swin_tiny(torch):
    """2, 2, 2, 2 blocks for 2, 2, 6, 2."""
    from torchvision.models import SwinTransformer
    return images(torch, SwinTransformer(patch_size=[4, 4], embed_dim=96, depths=[2, 2, 2, 2], num_heads=[3, 6, 12, 24],
                                         window_size=[7, 7]))


@vision()
def deeplab_v3(torch):
    import torchvision
    module = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)

    class Mask(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = module

        def forward(self, x):
            return self.network(x)["out"]
    return images(torch, Mask())


@torch_network(exporters=MANY)
def u_net(torch):
    """Ronneberger 2015, with padding and 8 to 64 channels: height and width vary too."""
    nn = torch.nn

    def double(a, b):
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.ReLU())

    class UNet(nn.Module):
        def __init__(self, widths=(8, 16, 32, 64)):
            super().__init__()
            self.down = nn.ModuleList(double(a, b) for a, b in zip((3, *widths), widths))
            self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(widths, widths[1:]))
            self.merge = nn.ModuleList(double(2 * a, a) for a in widths[:-1])
            self.head = nn.Conv2d(widths[0], 4, 1)

        def forward(self, x):
            skips = []
            for i, block in enumerate(self.down):
                x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
                skips.append(x)
            for i in reversed(range(len(self.up))):
                x = self.merge[i](torch.cat([skips[i], self.up[i](x)], 1))
            return self.head(x)
    arguments = [(torch.randn(n, 3, h, w),) for n, h, w in ((2, 32, 48), (1, 64, 32), (3, 48, 64))]
    return Sample(UNet(), arguments, ["images"], {"images": {0: "batch", 2: "height", 3: "width"}})


@torch_network()
def super_resolution(torch):
    """Shi 2016: sub-pixel convolution, beside a bilinear enlargement that follows the input's size."""
    nn = torch.nn

    class SuperResolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.LeakyReLU(0.1),
                                      nn.Conv2d(16, 27, 3, padding=1), nn.PixelShuffle(3))

        def forward(self, x):
            enlarged = nn.functional.interpolate(x, scale_factor=3, mode="bilinear", align_corners=False)
            return self.body(x) + enlarged
    arguments = [(torch.randn(n, 3, h, w),) for n, h, w in ((2, 16, 20), (1, 24, 12))]
    return Sample(SuperResolution(), arguments, ["images"], {"images": {0: "batch", 2: "height", 3: "width"}})
