"""More encoders of text, and pairs of an encoder and a decoder, of transformers."""
from decoder_networks import ONLY_TORCHSCRIPT, language
from language_networks import SIZES, SMALL, WORDS, ids, mask, masked_text, wrapped
from torch_export import Sample


def encoder(name, **options):
    import transformers
    config = getattr(transformers, f"{name}Config")
    return getattr(transformers, f"{name}Model")(config(**{**SMALL, "max_position_embeddings": 66, **options}))


def of_config(name, **options):
    import transformers
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(vocab_size=WORDS, **options))


def pair(torch, model):
    """(words, answer) -> the decoder's last hidden state; their lengths differ."""
    def forward(self, words, answer):
        return self.model(input_ids=words, decoder_input_ids=answer, use_cache=False).last_hidden_state
    arguments = [(ids(torch, size), ids(torch, (size[0], more))) for size, more in zip(SIZES, (4, 7, 3))]
    return Sample(wrapped(torch, forward, model=model), arguments, ["words", "answer"],
                  {"words": {0: "batch", 1: "length"}, "answer": {0: "batch", 1: "answer_length"}})


@language(ONLY_TORCHSCRIPT)
def xlnet(torch):
    """Relative positions by a shift of the scores."""
    return masked_text(torch, of_config("XLNet", d_model=32, n_layer=2, n_head=4, d_inner=64))


@language(ONLY_TORCHSCRIPT)
def xlm(torch):
    return masked_text(torch, of_config("XLM", emb_dim=32, n_layers=2, n_heads=4, max_position_embeddings=64))


@language(ONLY_TORCHSCRIPT)
def deberta(torch):
    return masked_text(torch, encoder("Deberta", relative_attention=True, pos_att_type=["p2c", "c2p"]))


@language(ONLY_TORCHSCRIPT)
def convbert(torch):
    """Attention beside convolutions whose kernels are computed."""
    return masked_text(torch, encoder("ConvBert", embedding_size=32, conv_kernel_size=3, num_groups=1))


@language(ONLY_TORCHSCRIPT)
def funnel(torch):
    """Pools the words, and spreads them again."""
    return masked_text(torch, of_config("Funnel", d_model=32, n_head=4, d_head=8, d_inner=64, block_sizes=[1, 1], num_decoder_layers=1))


@language(ONLY_TORCHSCRIPT)
def mobilebert(torch):
    return masked_text(torch, encoder("MobileBert", embedding_size=16, intra_bottleneck_size=16, true_hidden_size=16))


@language(ONLY_TORCHSCRIPT)
def ibert(torch):
    return masked_text(torch, encoder("IBert"))


@language(ONLY_TORCHSCRIPT)
def modernbert(torch):
    """Windows of attention, rotated heads."""
    return masked_text(torch, encoder("ModernBert", local_attention=4, global_attn_every_n_layers=2, pad_token_id=0, eos_token_id=1,
                                      bos_token_id=2, cls_token_id=2, sep_token_id=1))


@language(ONLY_TORCHSCRIPT)
def layoutlm(torch):
    """Words and the boxes in which they stand."""
    def forward(self, words, boxes):
        return self.model(input_ids=words, bbox=boxes).last_hidden_state
    arguments = [(ids(torch, size), torch.randint(0, 8, (*size, 4)).sort(-1).values) for size in SIZES]
    axes = {0: "batch", 1: "length"}
    return Sample(wrapped(torch, forward, model=encoder("LayoutLM", max_2d_position_embeddings=32)), arguments, ["words", "boxes"],
                  {"words": axes, "boxes": axes})


@language(ONLY_TORCHSCRIPT)
def pegasus(torch):
    return pair(torch, of_config("Pegasus", d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                                 decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64,
                                 pad_token_id=0, eos_token_id=2, decoder_start_token_id=0))


@language(ONLY_TORCHSCRIPT)
def long_t5(torch):
    """Attention within blocks and their neighbours."""
    return pair(torch, of_config("LongT5", d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, local_radius=3,
                                 decoder_start_token_id=0))


@language(ONLY_TORCHSCRIPT)
def prophetnet(torch):
    """Two streams that foretell one and two words."""
    return pair(torch, of_config("ProphetNet", hidden_size=32, encoder_ffn_dim=64, num_encoder_layers=1, num_encoder_attention_heads=4,
                                 decoder_ffn_dim=64, num_decoder_layers=1, num_decoder_attention_heads=4, max_position_embeddings=64,
                                 ngram=2))


@language(ONLY_TORCHSCRIPT)
def decision_transformer(torch):
    """States, actions and rewards in turns."""
    import transformers
    model = transformers.DecisionTransformerModel(transformers.DecisionTransformerConfig(state_dim=5, act_dim=3, hidden_size=32, n_layer=2,
                                                                                         n_head=4, max_ep_len=64))

    def forward(self, states, actions, rewards, returns, times, attention):
        out = self.model(states=states, actions=actions, rewards=rewards, returns_to_go=returns, timesteps=times, attention_mask=attention)
        return out.state_preds, out.action_preds, out.return_preds
    names = ["states", "actions", "rewards", "returns", "times", "attention"]
    arguments = [(torch.randn(*size, 5), torch.randn(*size, 3), torch.randn(*size, 1), torch.randn(*size, 1),
                  torch.arange(size[1])[None].repeat(size[0], 1), mask(torch, size)) for size in SIZES]
    return Sample(wrapped(torch, forward, model=model), arguments, names, {name: {0: "batch", 1: "steps"} for name in names})
