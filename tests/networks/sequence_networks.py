"""Recurrent taggers, 1-D convolutions, and a recommender with EmbeddingBag."""
from torch_export import MANY, Sample, torch_network


def tagger(torch, cell, **options):
    """Words -> recurrent cell in both directions -> a tag for each word."""
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(50, 12)
            self.cell = cell(12, 10, batch_first=True, **options)
            self.tags = torch.nn.Linear(10 * (2 if options.get("bidirectional") else 1), 7)

        def forward(self, words):
            hidden, _ = self.cell(self.embedding(words))
            return self.tags(hidden).log_softmax(-1)
    return Tagger()


def words(torch, module, sizes=((3, 9), (1, 4), (5, 12))):
    return Sample(module, [(torch.randint(0, 50, size),) for size in sizes], ["words"], {"words": {0: "batch", 1: "length"}})


@torch_network(exporters=MANY)
def lstm_tagger(torch):
    return words(torch, tagger(torch, torch.nn.LSTM, bidirectional=True, num_layers=2))


@torch_network()
def gru_tagger(torch):
    return words(torch, tagger(torch, torch.nn.GRU, bidirectional=True))


@torch_network(exporters=(("torchscript", (17,)),))  # dynamo keeps the batch of the sample
def rnn_tagger(torch):
    return words(torch, tagger(torch, torch.nn.RNN))


@torch_network()
def lstm_with_state(torch):
    """A step of a stream: the state goes in and out."""
    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = torch.nn.LSTM(8, 6, num_layers=2)
            self.head = torch.nn.Linear(6, 3)

        def forward(self, x, h, c):
            y, (h, c) = self.cell(x, (h, c))
            return self.head(y), h, c
    arguments = [(torch.randn(t, n, 8), torch.randn(2, n, 6), torch.randn(2, n, 6)) for t, n in ((5, 2), (1, 3))]
    return Sample(Step(), arguments, ["x", "h", "c"], {"x": {0: "length", 1: "batch"}, "h": {1: "batch"}, "c": {1: "batch"}})


@torch_network(exporters=MANY)
def wavenet(torch):
    """van den Oord 2016: dilated causal convolutions with gates, residuals and skips."""
    nn = torch.nn

    class WaveNet(nn.Module):
        def __init__(self, width=12, dilations=(1, 2, 4, 8)):
            super().__init__()
            self.dilations = dilations
            self.first = nn.Conv1d(1, width, 1)
            self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=d) for d in dilations)
            self.residuals = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in dilations)
            self.skips = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in dilations)
            self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, 16, 1))

        def forward(self, x):
            x = self.first(x)
            total = torch.zeros_like(x)
            for dilation, gate, residual, skip in zip(self.dilations, self.gates, self.residuals, self.skips):
                a, b = gate(nn.functional.pad(x, (dilation, 0))).chunk(2, 1)
                y = torch.tanh(a) * torch.sigmoid(b)
                total = total + skip(y)
                x = x + residual(y)
            return self.last(total)
    arguments = [(torch.randn(n, 1, length),) for n, length in ((2, 40), (1, 25), (3, 64))]
    return Sample(WaveNet(), arguments, ["wave"], {"wave": {0: "batch", 2: "length"}})


@torch_network()
def temporal_pooling(torch):
    """1-D convolutions, normalization by group and instance, adaptive pooling to one step."""
    nn = torch.nn
    module = nn.Sequential(nn.Conv1d(4, 16, 5, stride=2, padding=2), nn.GroupNorm(4, 16), nn.Mish(), nn.MaxPool1d(3, 2, ceil_mode=True),
                           nn.Conv1d(16, 16, 3, groups=16), nn.InstanceNorm1d(16, affine=True), nn.Hardswish(), nn.AdaptiveAvgPool1d(1),
                           nn.Flatten(), nn.Linear(16, 5), nn.Softplus())
    arguments = [(torch.randn(n, 4, 64),) for n in (2, 1, 4)]
    return Sample(module, arguments, ["signal"], {"signal": {0: "batch"}})


@torch_network()
def dlrm(torch):
    """Naumov 2019: categories through EmbeddingBag, numbers through an MLP, products of all pairs, an MLP."""
    nn = torch.nn

    class Dlrm(nn.Module):
        def __init__(self, sizes=(20, 30, 40), width=8):
            super().__init__()
            self.bags = nn.ModuleList(nn.EmbeddingBag(size, width, mode="sum") for size in sizes)
            self.bottom = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, width), nn.ReLU())
            pairs = (len(sizes) + 1) * len(sizes) // 2
            self.top = nn.Sequential(nn.Linear(width + pairs, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
            self.register_buffer("rows", torch.tril_indices(len(sizes) + 1, len(sizes) + 1, -1)[0])
            self.register_buffer("columns", torch.tril_indices(len(sizes) + 1, len(sizes) + 1, -1)[1])

        def forward(self, numbers, first, second, third):
            x = self.bottom(numbers)
            bags = [bag(words) for bag, words in zip(self.bags, (first, second, third))]
            vectors = torch.stack([x, *bags], 1)
            products = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.rows, self.columns]
            return self.top(torch.cat([x, products], 1))
    arguments = [(torch.randn(4, 5), *(torch.randint(0, size, (4, 3)) for size in (20, 30, 40)))]
    return Sample(Dlrm(), arguments, ["numbers", "first", "second", "third"])
