"""More decoders of transformers, with small configurations and random weights: other positions, other norms, windows, recurrences."""
from language_networks import SMALL, WORDS, ids, language, logits, with_past, wrapped
from torch_export import Sample

ONLY_TORCHSCRIPT = (("torchscript", (17,)),)


def causal(name, **options):
    import transformers
    config = getattr(transformers, f"{name}Config")
    return getattr(transformers, f"{name}ForCausalLM")(config(**{**SMALL, "max_position_embeddings": 64, **options}))


def of_config(name, **options):
    """With the names of its own that an older configuration has."""
    import transformers
    return getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(vocab_size=WORDS, **options))


def recurrent(torch, model, length):
    """words -> logits, of one length: the recurrence is unrolled."""
    def forward(self, words):
        return self.model(input_ids=words, use_cache=False).logits
    return Sample(wrapped(torch, forward, model=model), [(ids(torch, (n, length)),) for n in (2, 1)], ["words"], {"words": {0: "batch"}})


@language()
def bloom(torch):
    """Attention biased by distance."""
    return logits(torch, of_config("Bloom", hidden_size=32, n_layer=2, n_head=4))


@language()
def mpt(torch):
    return logits(torch, of_config("Mpt", d_model=32, n_layers=2, n_heads=4, max_seq_len=64))


@language()
def gpt_neox(torch):
    """Half of each head is rotated."""
    return logits(torch, causal("GPTNeoX", rotary_pct=0.5))


@language()
def gpt_neo(torch):
    """A layer that sees all, one that sees four words."""
    return logits(torch, causal("GPTNeo", num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4))


@language()
def gpt_j(torch):
    return logits(torch, of_config("GPTJ", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64))


@language()
def codegen(torch):
    return logits(torch, of_config("CodeGen", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64))


@language()
def falcon(torch):
    """One head of keys."""
    return logits(torch, causal("Falcon", multi_query=True, new_decoder_architecture=False, alibi=False))


@language()
def qwen3(torch):
    return logits(torch, causal("Qwen3", num_key_value_heads=2, head_dim=8))


@language()
def gemma2(torch):
    """Scores and logits through tanh."""
    return logits(torch, causal("Gemma2", num_key_value_heads=2, head_dim=8, sliding_window=4))


@language(ONLY_TORCHSCRIPT)
def gemma2_with_past(torch):
    return with_past(torch, causal("Gemma2", num_key_value_heads=2, head_dim=8, sliding_window=16), layers=2, heads=2, width=8)


@language()
def gemma3(torch):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig
    config = Gemma3TextConfig(**SMALL, num_key_value_heads=2, head_dim=8, sliding_window=4, max_position_embeddings=64)
    return logits(torch, Gemma3ForCausalLM(config))


@language()
def phi3(torch):
    """Queries, keys and values of one product, cut by Slice."""
    return logits(torch, causal("Phi3", num_key_value_heads=2, pad_token_id=0))


@language()
def stablelm(torch):
    return logits(torch, causal("StableLm", num_key_value_heads=2))


@language((("dynamo", (18,)),))  # onnxruntime refuses what torchscript writes
def cohere(torch):
    return logits(torch, causal("Cohere", num_key_value_heads=2))


@language()
def olmo2(torch):
    return logits(torch, causal("Olmo2", num_key_value_heads=2))


@language()
def starcoder2(torch):
    return logits(torch, causal("Starcoder2", num_key_value_heads=2))


@language()
def granite(torch):
    return logits(torch, causal("Granite", num_key_value_heads=2))


@language()
def xglm(torch):
    """Sines and cosines for positions."""
    return logits(torch, of_config("XGLM", d_model=32, num_layers=2, attention_heads=4, ffn_dim=64, max_position_embeddings=64))


@language(ONLY_TORCHSCRIPT)
def biogpt(torch):
    return logits(torch, causal("BioGpt"))


@language()
def mamba(torch):
    """A selective state space, step by step."""
    return recurrent(torch, of_config("Mamba", hidden_size=32, state_size=4, num_hidden_layers=2, expand=2), length=7)


@language(ONLY_TORCHSCRIPT)
def rwkv(torch):
    return recurrent(torch, of_config("Rwkv", hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, intermediate_size=64,
                                      context_length=32), length=6)
