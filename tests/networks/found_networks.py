"""Networks that failed when they were first tried, each for a reason of its own."""
from catalog import network
from language_networks import SMALL, ids, language, wrapped
from pipelines import NEEDS, numeric
from torch_export import Sample, torch_network


@network("skl2onnx", (17,), NEEDS)
def paths_of_a_tree(opset):
    """Leaves are listed once a class, each time with the same number."""
    from sklearn.tree import DecisionTreeClassifier
    return numeric(DecisionTreeClassifier(max_depth=4, random_state=0), opset, decision_path=True, decision_leaf=True)


@network("skl2onnx", (17,), NEEDS)
def paths_of_a_forest(opset):
    from sklearn.ensemble import RandomForestClassifier
    return numeric(RandomForestClassifier(4, max_depth=4, random_state=0), opset, decision_path=True, decision_leaf=True)


@language((("torchscript", (17,)),))
def blip(torch):
    """As many places of a table as a size says that shape inference does not know yet."""
    from transformers import BlipConfig, BlipForImageTextRetrieval
    text = {**SMALL, "max_position_embeddings": 16, "encoder_hidden_size": 32, "bos_token_id": 1, "sep_token_id": 2, "pad_token_id": 0}
    see = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
    model = BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=see, image_text_hidden_size=16, projection_dim=16))

    def forward(self, words, images):
        return self.model(input_ids=words, pixel_values=images).itm_score
    arguments = [(ids(torch, (n, 7)), torch.randn(n, 3, 32, 32)) for n in (2, 1)]
    return Sample(wrapped(torch, forward, model=model), arguments, ["words", "images"], {"words": {0: "batch"}, "images": {0: "batch"}})


@torch_network()
def spectra(torch):
    """torch.stft, whose signal has no last axis of 1, a bank of filters, logarithms, and deviations over time."""
    nn = torch.nn

    class Spectra(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("window", torch.hann_window(16))
            self.bands = nn.Parameter(torch.rand(9, 5))
            self.mix = nn.Conv1d(5, 4, 3)

        def forward(self, sound):
            power = (torch.stft(sound, 16, 8, 16, self.window, center=False, return_complex=False, onesided=True) ** 2).sum(-1)
            loudness = torch.log(power.transpose(1, 2) @ self.bands + 1e-3)
            evened = (loudness - loudness.mean(1, keepdim=True)) / (loudness.std(1, keepdim=True) + 1e-5)
            return self.mix(evened.transpose(1, 2))
    return Sample(Spectra(), [(torch.randn(2, 80),), (torch.randn(2, 80),)], ["sound"])
