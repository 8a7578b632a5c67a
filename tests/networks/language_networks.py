"""Transformers of the library of that name, with small configurations and random weights. Batch and length vary within one session."""
from torch_export import MANY, USUAL, Sample, torch_network

SIZES = ((2, 9), (1, 5), (3, 16))
WORDS = 101
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": WORDS}


def language(exporters=USUAL, **options):
    return torch_network(needs=("transformers",), exporters=exporters, **options)


def wrapped(torch, forward, **modules):
    """A module that calls forward(self, ...) with tensors only: the exporters want no dictionaries and no caches."""
    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules.items():
                setattr(self, name, module.eval())
    Wrapped.forward = forward
    return Wrapped()


def ids(torch, size):
    return torch.randint(3, WORDS, size)


def mask(torch, size):
    """The first row is whole, each further one has one more word of padding at its end."""
    return (torch.arange(size[1])[None] < size[1] - torch.arange(size[0])[:, None]).to(torch.int64)


def masked_text(torch, model):
    """(words, mask) -> the last hidden state."""
    def forward(self, words, attention):
        return self.model(input_ids=words, attention_mask=attention).last_hidden_state
    axes = {0: "batch", 1: "length"}
    return Sample(wrapped(torch, forward, model=model), [(ids(torch, size), mask(torch, size)) for size in SIZES], ["words", "attention"],
                  {"words": axes, "attention": axes})


@language(MANY)
def bert(torch):
    from transformers import BertConfig, BertModel
    return masked_text(torch, BertModel(BertConfig(**SMALL)))


@language()
def bert_eager(torch):
    """Attention as separate products and a Softmax."""
    from transformers import BertConfig, BertModel
    return masked_text(torch, BertModel(BertConfig(**SMALL, attn_implementation="eager")))


@language()
def bert_classifier(torch):
    from transformers import BertConfig, BertForSequenceClassification

    def forward(self, words, attention, kinds):
        return self.model(input_ids=words, attention_mask=attention, token_type_ids=kinds).logits
    axes = {0: "batch", 1: "length"}
    arguments = [(ids(torch, size), mask(torch, size), torch.randint(0, 2, size)) for size in SIZES]
    module = wrapped(torch, forward, model=BertForSequenceClassification(BertConfig(**SMALL, num_labels=3)))
    return Sample(module, arguments, ["words", "attention", "kinds"], {name: axes for name in ("words", "attention", "kinds")})


@language()
def distilbert(torch):
    from transformers import DistilBertConfig, DistilBertModel
    return masked_text(torch, DistilBertModel(DistilBertConfig(vocab_size=WORDS, dim=32, n_layers=2, n_heads=4, hidden_dim=64)))


@language()
def roberta(torch):
    """Positions are counted by a cumulative sum over what is no padding."""
    from transformers import RobertaConfig, RobertaModel
    return masked_text(torch, RobertaModel(RobertaConfig(**SMALL, max_position_embeddings=66)))


@language()
def albert(torch):
    from transformers import AlbertConfig, AlbertModel
    return masked_text(torch, AlbertModel(AlbertConfig(**SMALL, embedding_size=16)))


@language()
def deberta_v2(torch):
    from transformers import DebertaV2Config, DebertaV2Model
    return masked_text(torch, DebertaV2Model(DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"],
                                                            position_buckets=8, max_position_embeddings=64)))


@language()
def electra(torch):
    from transformers import ElectraConfig, ElectraModel
    return masked_text(torch, ElectraModel(ElectraConfig(**SMALL, embedding_size=16)))


@language()
def mpnet(torch):
    from transformers import MPNetConfig, MPNetModel
    return masked_text(torch, MPNetModel(MPNetConfig(**SMALL)))


def logits(torch, model):
    """(words, mask) -> logits, without a cache."""
    def forward(self, words, attention):
        return self.model(input_ids=words, attention_mask=attention, use_cache=False).logits
    axes = {0: "batch", 1: "length"}
    return Sample(wrapped(torch, forward, model=model), [(ids(torch, size), mask(torch, size)) for size in SIZES], ["words", "attention"],
                  {"words": axes, "attention": axes})


def with_past(torch, model, layers, heads, width):
    """(words, mask, keys and values so far) -> logits, keys and values now."""
    from transformers import DynamicCache

    def forward(self, words, attention, *past):
        cache = DynamicCache([(past[2 * i], past[2 * i + 1]) for i in range(layers)])
        out = self.model(input_ids=words, attention_mask=attention, past_key_values=cache, use_cache=True)
        return (out.logits, *(tensor for layer in out.past_key_values.layers for tensor in (layer.keys, layer.values)))
    arguments = []
    for batch, length, before in ((2, 3, 5), (1, 1, 9), (3, 4, 2)):
        past = [torch.randn(batch, heads, before, width) for _ in range(2 * layers)]
        arguments.append((ids(torch, (batch, length)), torch.ones(batch, before + length, dtype=torch.int64), *past))
    names = [f"{kind}{i}" for i in range(layers) for kind in ("key", "value")]
    dynamic = {"words": {0: "batch", 1: "length"}, "attention": {0: "batch", 1: "all"}}
    return Sample(wrapped(torch, forward, model=model), arguments, ["words", "attention", *names],
                  dynamic | {name: {0: "batch", 2: "before"} for name in names})


def gpt2_model(**options):
    from transformers import GPT2Config, GPT2LMHeadModel
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_positions=64, n_embd=32, n_layer=2, n_head=4, **options))


@language(MANY)
def gpt2(torch):
    return logits(torch, gpt2_model())


@language()
def gpt2_with_past(torch):
    return with_past(torch, gpt2_model(), layers=2, heads=4, width=8)


def llama_model(**options):
    """Rotary positions, RMSNorm, SwiGLU, two heads of keys for four of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM
    return LlamaForCausalLM(LlamaConfig(**SMALL, num_key_value_heads=2, max_position_embeddings=64, **options))


@language((("torchscript", (17, 20)), ("dynamo", (18, 21))))  # onnxruntime refuses the RotaryEmbedding that dynamo writes in 23
def llama(torch):
    return logits(torch, llama_model())


@language()
def llama_with_past(torch):
    return with_past(torch, llama_model(), layers=2, heads=2, width=8)


@language()
def mistral(torch):
    from transformers import MistralConfig, MistralForCausalLM
    return logits(torch, MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=6)))


@language()
def qwen2(torch):
    from transformers import Qwen2Config, Qwen2ForCausalLM
    return logits(torch, Qwen2ForCausalLM(Qwen2Config(**SMALL, num_key_value_heads=2)))


@language()
def gemma(torch):
    from transformers import GemmaConfig, GemmaForCausalLM
    return logits(torch, GemmaForCausalLM(GemmaConfig(**SMALL, num_key_value_heads=1, head_dim=8)))


@language()
def phi(torch):
    from transformers import PhiConfig, PhiForCausalLM
    return logits(torch, PhiForCausalLM(PhiConfig(**SMALL)))


@language()
def opt(torch):
    from transformers import OPTConfig, OPTForCausalLM
    return logits(torch, OPTForCausalLM(OPTConfig(vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
                                                  max_position_embeddings=64, word_embed_proj_dim=32)))


def t5_config():
    from transformers import T5Config
    return T5Config(vocab_size=WORDS, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)


@language()
def t5_encoder(torch):
    from transformers import T5EncoderModel
    return masked_text(torch, T5EncoderModel(t5_config()))


@language()
def t5(torch):
    from transformers import T5ForConditionalGeneration

    def forward(self, words, answer):
        return self.model(input_ids=words, decoder_input_ids=answer, use_cache=False).logits
    arguments = [(ids(torch, size), ids(torch, (size[0], more))) for size, more in zip(SIZES, (4, 7, 3))]
    return Sample(wrapped(torch, forward, model=T5ForConditionalGeneration(t5_config())), arguments, ["words", "answer"],
                  {"words": {0: "batch", 1: "length"}, "answer": {0: "batch", 1: "answer_length"}})


@language()
def t5_decoder_with_cache(torch):
    """One more step: the decoder's own keys and values so far, and those of the encoder's states."""
    from transformers import DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration
    layers = 2

    def forward(self, answer, states, *past):
        pairs = [(past[2 * i], past[2 * i + 1]) for i in range(2 * layers)]
        cache = EncoderDecoderCache(DynamicCache(pairs[:layers]), DynamicCache(pairs[layers:]))
        out = self.model(decoder_input_ids=answer, encoder_outputs=(states,), past_key_values=cache, use_cache=True)
        own = out.past_key_values.self_attention_cache.layers
        return (out.logits, *(tensor for layer in own for tensor in (layer.keys, layer.values)))
    arguments = []
    for batch, before, length in ((2, 3, 6), (1, 5, 9)):
        past = [torch.randn(batch, 4, size, 8) for size in (before,) * 2 * layers + (length,) * 2 * layers]
        arguments.append((ids(torch, (batch, 1)), torch.randn(batch, length, 32), *past))
    names = [f"{side}_{kind}{i}" for side in ("own", "encoder") for i in range(layers) for kind in ("key", "value")]
    dynamic = {"answer": {0: "batch"}, "states": {0: "batch", 1: "length"}}
    dynamic |= {name: {0: "batch", 2: "before" if name.startswith("own") else "length"} for name in names}
    return Sample(wrapped(torch, forward, model=T5ForConditionalGeneration(t5_config())), arguments, ["answer", "states", *names], dynamic)


@language()
def bart(torch):
    from transformers import BartConfig, BartModel
    config = BartConfig(vocab_size=WORDS, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
                        encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64)

    def forward(self, words, answer):
        return self.model(input_ids=words, decoder_input_ids=answer, use_cache=False).last_hidden_state
    arguments = [(ids(torch, size), ids(torch, (size[0], more))) for size, more in zip(SIZES, (4, 7, 3))]
    return Sample(wrapped(torch, forward, model=BartModel(config)), arguments, ["words", "answer"],
                  {"words": {0: "batch", 1: "length"}, "answer": {0: "batch", 1: "answer_length"}})


@language()
def whisper(torch):
    """Sound as 16 bands over 40 frames -> words, as Whisper-tiny."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration
    config = WhisperConfig(vocab_size=WORDS, num_mel_bins=16, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                           decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=20, max_target_positions=24,
                           pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None,
                           begin_suppress_tokens=None)

    def forward(self, sound, words):
        return self.model(input_features=sound, decoder_input_ids=words, decoder_attention_mask=torch.ones_like(words),
                          use_cache=False).logits
    arguments = [(torch.randn(n, 16, 40), ids(torch, (n, length))) for n, length in ((2, 5), (1, 3), (3, 8))]
    return Sample(wrapped(torch, forward, model=WhisperForConditionalGeneration(config)), arguments, ["sound", "words"],
                  {"sound": {0: "batch"}, "words": {0: "batch", 1: "length"}})


@language()
def wav2vec2(torch):
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC
    config = Wav2Vec2Config(**SMALL, conv_dim=[16, 16], conv_kernel=[10, 3], conv_stride=[5, 2], num_feat_extract_layers=2,
                            num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4)

    def forward(self, sound):
        return self.model(input_values=sound).logits
    return Sample(wrapped(torch, forward, model=Wav2Vec2ForCTC(config)), [(torch.randn(n, length),) for n, length in ((2, 400), (1, 700))],
                  ["sound"], {"sound": {0: "batch", 1: "samples"}})


@language()
def clip(torch):
    from transformers import CLIPConfig, CLIPModel
    text = {**SMALL, "max_position_embeddings": 20, "eos_token_id": 2, "projection_dim": 24}
    image = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "image_size": 32, "patch_size": 8}

    def forward(self, words, images, attention):
        out = self.model(input_ids=words, pixel_values=images, attention_mask=attention)
        return out.logits_per_image, out.text_embeds, out.image_embeds
    arguments = [(ids(torch, size), torch.randn(n, 3, 32, 32), mask(torch, size)) for size, n in (((2, 9), 3), ((4, 6), 1))]
    module = wrapped(torch, forward, model=CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=24)))
    axes = {0: "texts", 1: "length"}
    return Sample(module, arguments, ["words", "images", "attention"], {"words": axes, "attention": axes, "images": {0: "pictures"}})


@language()
def segformer(torch):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation
    config = SegformerConfig(num_encoder_blocks=4, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 2, 4],
                             decoder_hidden_size=32, num_labels=5)

    def forward(self, images):
        return self.model(pixel_values=images).logits
    return Sample(wrapped(torch, forward, model=SegformerForSemanticSegmentation(config)), [(torch.randn(n, 3, 64, 64),) for n in (2, 1)],
                  ["images"], {"images": {0: "batch"}})


@language()
def detr(torch):
    """Queries against the map of a small ResNet."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig
    config = DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
                        backbone_config=ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic",
                                                     out_features=["stage2"]),
                        num_queries=6, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
                        encoder_ffn_dim=64, decoder_ffn_dim=64, num_labels=5)

    def forward(self, images):
        out = self.model(pixel_values=images)
        return out.logits, out.pred_boxes
    return Sample(wrapped(torch, forward, model=DetrForObjectDetection(config)), [(torch.randn(n, 3, 64, 64),) for n in (2, 1)],
                  ["images"], {"images": {0: "batch"}})
