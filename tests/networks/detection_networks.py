"""torchvision's detectors, whole: anchors, proposals, NonMaxSuppression, RoiAlign."""
from torch_export import Sample, torch_network


def detector(torch, module, size):
    class Detector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = module

        def forward(self, image):
            out = self.network([image])[0]
            return out["boxes"], out["scores"], out["labels"]
    return Sample(Detector(), [(torch.rand(3, *size),) for _ in range(2)], ["image"])


ONLY_TORCHSCRIPT = (("torchscript", (17,)),)  # dynamo cannot follow the number of boxes through them


@torch_network(needs=("torchvision",), exporters=ONLY_TORCHSCRIPT)
def ssd_lite(torch):
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large
    network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4, score_thresh=0.2)
    for weights in network.head.classification_head.parameters():
        weights.data = torch.randn_like(weights)  # scores far enough apart: TopK should choose, not rounding
    return detector(torch, network, (160, 160))


@torch_network(needs=("torchvision",), exporters=ONLY_TORCHSCRIPT)
def faster_rcnn(torch):
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
    return detector(torch, fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=4, box_score_thresh=0.1,
                                                                 min_size=96, max_size=128), (96, 128))


@torch_network(needs=("torchvision",), exporters=ONLY_TORCHSCRIPT)
def retinanet(torch):
    from torchvision.models import mobilenet_v2
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    backbone = mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    return detector(torch, RetinaNet(backbone, 4, anchor_generator=AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),)), min_size=96, max_size=128,
                                     score_thresh=0.01), (96, 128))
