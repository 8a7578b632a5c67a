"""Modules with control flow, by torch.jit.script: Loop, If and sequences in the file; and what keeps only some of its rows."""
from torch_export import Sample, torch_network

SCRIPTED = (("torchscript", (17,)),)


@torch_network(exporters=SCRIPTED)
def scripted_decoder(torch):
    """Words are appended to a list as often as an input says; a GRU cell written out."""
    nn = torch.nn

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8)
            self.gates = nn.Linear(16, 16)
            self.candidate = nn.Linear(16, 8)
            self.head = nn.Linear(8, 20)

        def forward(self, state, limit: int):
            word = torch.zeros(state.size(0), dtype=torch.long)
            told = []
            for _ in range(limit):
                x = self.embedding(word)
                reset, update = torch.sigmoid(self.gates(torch.cat([x, state], 1))).chunk(2, 1)
                state = (1 - update) * torch.tanh(self.candidate(torch.cat([x, reset * state], 1))) + update * state
                word = self.head(state).argmax(1)
                told.append(word)
            return torch.stack(told, 1), state
    module = torch.jit.script(Decoder())
    return Sample(module, [(torch.randn(n, 8), torch.tensor(limit)) for n, limit in ((2, 6), (3, 4))], ["state", "limit"], {"state": {0: "batch"}})


@torch_network(exporters=SCRIPTED)
def scripted_branches(torch):
    """Which branch is taken hangs on a size and on the data."""
    nn = torch.nn

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.small, self.large = nn.Linear(4, 3), nn.Linear(8, 3)

        def forward(self, x):
            if x.size(0) > 2:
                y = self.large(torch.cat([x, x.flip(0)], 1))
            else:
                y = self.small(x)
            if bool(y.sum() > 0):
                y = y * 2
            else:
                y = torch.relu(-y)
            for _ in range(x.size(0)):
                y = torch.tanh(y) + 0.1
            return y
    return Sample(torch.jit.script(Branches()), [(torch.randn(n, 4),) for n in (2, 5, 1, 3)], ["x"], {"x": {0: "batch"}})


@torch_network(exporters=SCRIPTED)
def scripted_pieces(torch):
    """Splits into a list, works on each piece, sorts and joins them."""
    nn = torch.nn

    class Pieces(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            out = []
            for piece in torch.split(x, 2, 0):
                out.append(torch.sort(self.layer(piece), 1)[0])
            return torch.cat(out, 0), torch.stack([piece.sum() for piece in out])
    return Sample(torch.jit.script(Pieces()), [(torch.randn(n, 4),) for n in (6, 3)], ["x"], {"x": {0: "batch"}})


@torch_network(exporters=SCRIPTED)
def scripted_cell(torch):
    """An LSTM cell step by step, and the best path through tags (Viterbi)."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(4, 6)
            self.head = nn.Linear(6, 3)
            self.change = nn.Parameter(torch.randn(3, 3))

        def forward(self, x):
            h = torch.zeros(x.size(1), 6)
            c = torch.zeros(x.size(1), 6)
            best = torch.zeros(x.size(1), 3)
            paths = []
            for t in range(x.size(0)):
                h, c = self.cell(x[t], (h, c))
                total = best.unsqueeze(2) + self.change
                value, place = total.max(1)
                best = value + self.head(h)
                paths.append(place)
            return best, torch.stack(paths)
    return Sample(torch.jit.script(Tagger()), [(torch.randn(t, n, 4),) for t, n in ((5, 2), (3, 1))], ["x"], {"x": {0: "length", 1: "batch"}})


@torch_network(exporters=SCRIPTED)
def rows_above_a_score(torch):
    """NonZero and masks: how many rows are left, the data say."""
    nn = torch.nn

    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.layer = nn.Linear(4, 1), nn.Linear(4, 3)

        def forward(self, x):
            score = torch.sigmoid(self.score(x)).squeeze(1)
            kept = torch.nonzero(score > 0.5).squeeze(1)
            rows = self.layer(x[kept])
            return rows, kept, x[score <= 0.5].sum(0), torch.masked_select(x, x > 0).mean(), torch.unique((x * 2).round())
    return Sample(Rows(), [(torch.randn(n, 4),) for n in (7, 3, 12)], ["x"], {"x": {0: "batch"}})


@torch_network(needs=("torchvision",), exporters=SCRIPTED)
def yolo_head(torch):
    """Boxes from three anchors a cell, the best 20, NonMaxSuppression by class."""
    import torchvision
    nn = torch.nn

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 24, 3, 2, 1))
            self.register_buffer("anchors", torch.tensor([[8.0, 8.0], [14.0, 20.0], [24.0, 12.0]]))

        def forward(self, x):
            y = self.head(x)
            height, width = y.shape[2], y.shape[3]
            y = y.view(3, 8, height, width).permute(0, 2, 3, 1)
            ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            centre = (torch.sigmoid(y[..., :2]) + torch.stack([xs, ys], -1)) * 4
            size = torch.exp(y[..., 2:4]) * self.anchors[:, None, None]
            boxes = torch.cat([centre - size / 2, centre + size / 2], -1).reshape(-1, 4)
            scores = torch.sigmoid(y[..., 4:5] * 3) * y[..., 5:].softmax(-1)
            score, kind = scores.reshape(-1, 3).max(1)
            score, best = score.topk(20)
            boxes, kind = boxes[best], kind[best]
            kept = torchvision.ops.batched_nms(boxes, score, kind, 0.3)
            return boxes[kept], score[kept], kind[kept]
    return Sample(Head(), [(torch.randn(1, 3, h, w),) for h, w in ((32, 40), (24, 32))], ["image"], {"image": {2: "height", 3: "width"}})
