"""More networks on pictures and films: transformers of torchvision and of the library of that name, detection, depth, masks, flow."""
from decoder_networks import ONLY_TORCHSCRIPT
from detection_networks import detector
from language_networks import WORDS, ids, language, wrapped
from torch_export import Sample, torch_network
from vision_networks import images, vision

SEE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "layer_type": "basic"}


def seen(torch, module, size=32, take="last_hidden_state", batches=(2, 1, 3)):
    def forward(self, images):
        return getattr(self.model(pixel_values=images), take)
    return Sample(wrapped(torch, forward, model=module), [(torch.randn(n, 3, size, size),) for n in batches], ["images"],
                  {"images": {0: "batch"}})


def eye(name, **options):
    import transformers
    return getattr(transformers, name + "Model")(getattr(transformers, name + "Config")(**options))


@language()
def beit(torch):
    return seen(torch, eye("Beit", **SEE, use_relative_position_bias=True, use_mask_token=False))


@language()
def dinov2(torch):
    """Pictures larger than those it was made for: positions are interpolated."""
    return seen(torch, eye("Dinov2", **SEE), size=48)


@language()
def dpt(torch):
    from transformers import DPTConfig, DPTForDepthEstimation
    config = DPTConfig(**{**SEE, "num_hidden_layers": 4}, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16],
                       fusion_hidden_size=16, reassemble_factors=[4, 2, 1, 0.5])
    return seen(torch, DPTForDepthEstimation(config), take="predicted_depth")


@language()
def swin_v2(torch):
    return seen(torch, eye("Swinv2", image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4))


@language()
def levit(torch):
    return seen(torch, eye("Levit", image_size=64, hidden_sizes=[16, 24, 32], num_attention_heads=[2, 3, 4], depths=[1, 1, 1],
                           key_dim=[8, 8, 8]), size=64)


@language()
def mobilevit(torch):
    """Patches are taken out of a map, and put back."""
    return seen(torch, eye("MobileViT", image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
                           num_attention_heads=4), size=64)


@language()
def focalnet(torch):
    return seen(torch, eye("FocalNet", image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], focal_levels=[2, 2],
                           focal_windows=[3, 3], hidden_sizes=[16, 32]))


@language()
def rt_detr(torch):
    """Queries chosen by TopK, attention at points by GridSample."""
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig
    config = RTDetrConfig(backbone_config=RTDetrResNetConfig(**STAGES, out_features=["stage2", "stage3", "stage4"]), encoder_hidden_dim=32,
                          encoder_in_channels=[16, 24, 32], encoder_ffn_dim=64, encoder_attention_heads=4, encode_proj_layers=[2],
                          d_model=32, num_queries=8, decoder_in_channels=[32, 32, 32], decoder_ffn_dim=64, decoder_layers=1,
                          decoder_attention_heads=4, num_denoising=0, num_labels=5,
                          initializer_range=0.3)  # scores far enough apart: TopK should choose, not rounding

    def forward(self, images):
        out = self.model(pixel_values=images)
        return out.logits, out.pred_boxes
    return Sample(wrapped(torch, forward, model=RTDetrForObjectDetection(config)), [(torch.randn(2, 3, 64, 64),)], ["images"])


@language()
def maskformer(torch):
    """A mask a query, over the maps of a small Swin."""
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig, SwinConfig
    backbone = SwinConfig(image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
                          out_features=["stage1", "stage2", "stage3", "stage4"])
    unused = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"])
    decoder = DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=unused, num_queries=6,
                         d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
                         encoder_ffn_dim=64, decoder_ffn_dim=64)
    config = MaskFormerConfig(backbone_config=backbone, fpn_feature_size=32, mask_feature_size=16, decoder_config=decoder, num_labels=5)

    def forward(self, images):
        out = self.model(pixel_values=images)
        return out.class_queries_logits, out.masks_queries_logits
    return Sample(wrapped(torch, forward, model=MaskFormerForInstanceSegmentation(config)), [(torch.randn(2, 3, 64, 64),)], ["images"])


@language()
def perceiver(torch):
    """Words read into a few latent rows."""
    from transformers import PerceiverConfig, PerceiverForMaskedLM
    config = PerceiverConfig(vocab_size=WORDS, d_latents=32, d_model=16, num_latents=8, num_self_attends_per_block=2,
                             num_self_attention_heads=4, num_cross_attention_heads=4, max_position_embeddings=16)

    def forward(self, words):
        return self.model(inputs=words).logits
    return Sample(wrapped(torch, forward, model=PerceiverForMaskedLM(config)), [(ids(torch, (n, 16)),) for n in (2, 1)], ["words"],
                  {"words": {0: "batch"}})


@vision(ONLY_TORCHSCRIPT)
def maxvit(torch):
    """Attention within windows, then across them."""
    from torchvision.models.maxvit import MaxVit
    return images(torch, MaxVit(input_size=(64, 64), stem_channels=8, partition_size=2, block_channels=[8, 16], block_layers=[1, 1],
                                head_dim=4, stochastic_depth_prob=0.0), batches=(2, 1))


@vision(ONLY_TORCHSCRIPT)
def swin_v2_tiny(torch):
    from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
    return images(torch, SwinTransformer(patch_size=[4, 4], embed_dim=48, depths=[2, 2], num_heads=[3, 6], window_size=[8, 8],
                                         block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2))


@vision(ONLY_TORCHSCRIPT)
def lraspp(torch):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    def forward(self, images):
        return self.network(images)["out"]
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)
    return images(torch, wrapped(torch, forward, network=network))


@vision(ONLY_TORCHSCRIPT)
def video_mvit(torch):
    """Films of eight frames; queries and keys pooled by convolutions."""
    from torchvision.models.video.mvit import MSBlockConfig, MViT
    blocks = [MSBlockConfig(num_heads=1, input_channels=16, output_channels=16, kernel_q=[3, 3, 3], kernel_kv=[3, 3, 3],
                            stride_q=[1, 1, 1], stride_kv=[1, 2, 2]),
              MSBlockConfig(num_heads=2, input_channels=16, output_channels=32, kernel_q=[3, 3, 3], kernel_kv=[3, 3, 3],
                            stride_q=[1, 2, 2], stride_kv=[1, 1, 1])]
    network = MViT(spatial_size=(32, 32), temporal_size=8, block_setting=blocks, residual_pool=True, residual_with_cls_embed=False,
                   rel_pos_embed=True, proj_after_attn=True, num_classes=5)
    return Sample(network, [(torch.randn(n, 3, 8, 32, 32),) for n in (2, 1)], ["frames"], {"frames": {0: "batch"}})


@vision(ONLY_TORCHSCRIPT)
def optical_flow(torch):
    """RAFT: products of all pairs of points, looked up by GridSample, and a recurrent unit."""
    from torchvision.models.optical_flow import raft_small

    def forward(self, before, after):
        return self.network(before, after, num_flow_updates=2)[-1]
    pair = tuple(torch.rand(1, 3, 128, 128) * 2 - 1 for _ in range(2))
    return Sample(wrapped(torch, forward, network=raft_small(weights=None)), [pair], ["before", "after"])


def small_maps():
    from torchvision.models import mobilenet_v2
    backbone = mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    return backbone


@torch_network(needs=("torchvision",), exporters=ONLY_TORCHSCRIPT)
def mask_rcnn(torch):
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign
    network = MaskRCNN(small_maps(), 4, rpn_anchor_generator=AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),)), min_size=96, max_size=128,
                       box_score_thresh=0.2, box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
                       mask_roi_pool=MultiScaleRoIAlign(["0"], 14, 2))

    def forward(self, image):
        out = self.network([image])[0]
        return out["boxes"], out["scores"], out["labels"], out["masks"]
    return Sample(wrapped(torch, forward, network=network), [(torch.rand(3, 96, 128),) for _ in range(2)], ["image"])


@torch_network(needs=("torchvision",), exporters=ONLY_TORCHSCRIPT)
def fcos(torch):
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    return detector(torch, FCOS(small_maps(), 4, anchor_generator=AnchorGenerator(((16,),), ((1.0,),)), min_size=96, max_size=128,
                                score_thresh=0.2), (96, 128))
