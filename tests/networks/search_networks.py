"""Decoders that search, by torch.jit.script: variables of loops that grow, lists walked backwards, loops in loops."""
import typing

from scripted_networks import SCRIPTED
from torch_export import Sample, torch_network

SIZES = ((2, 7), (1, 4), (3, 11))
AXES = {"scores": {0: "batch", 1: "length"}}


def scores(torch):
    return [(torch.randn(*size, 6),) for size in SIZES]


@torch_network(exporters=SCRIPTED)
def viterbi(torch):
    """The best path through a chain: forward a list of the best predecessors grows, backward it is followed."""
    nn = torch.nn

    class Viterbi(nn.Module):
        def __init__(self):
            super().__init__()
            self.transitions = nn.Parameter(torch.randn(6, 6))

        def forward(self, scores):
            best = scores[:, 0]
            before: typing.List[torch.Tensor] = []
            for t in range(1, scores.shape[1]):
                reached, state = (best[:, :, None] + self.transitions).max(1)
                best = reached + scores[:, t]
                before.append(state)
            total, state = best.max(1)
            path = [state]
            for k in range(len(before)):
                state = torch.gather(before[len(before) - 1 - k], 1, state[:, None])[:, 0]
                path.append(state)
            return total, torch.stack(path, 1).flip(1)
    return Sample(torch.jit.script(Viterbi()), scores(torch), ["scores"], AXES)


@torch_network(exporters=SCRIPTED)
def beam_search(torch):
    """Three paths a row, a tensor that is longer after each step."""
    nn = torch.nn

    class Beams(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 9)

        def forward(self, scores):
            total = torch.zeros(scores.shape[0], 3)
            total[:, 1:] = -1e9
            paths = torch.zeros(scores.shape[0], 3, 0, dtype=torch.long)
            for t in range(scores.shape[1]):
                each = torch.log_softmax(self.head(scores[:, t]), -1)
                total, chosen = (total[:, :, None] + each[:, None]).flatten(1).topk(3, 1)
                kept = torch.gather(paths, 1, (chosen // 9)[:, :, None].expand(-1, -1, paths.shape[2]))
                paths = torch.cat([kept, (chosen % 9)[:, :, None]], 2)
            return paths, total
    return Sample(torch.jit.script(Beams()), scores(torch), ["scores"], AXES)


@torch_network(exporters=SCRIPTED)
def rows_that_gather(torch):
    """A tensor that is put together row by row, at either end: the rank alone is known of it."""
    class Gathers(torch.nn.Module):
        def forward(self, scores):
            rows = scores[:1]
            for i in range(scores.shape[0]):
                if i % 2 == 0:
                    rows = torch.cat([rows, scores[i:i + 1] * 2])
                else:
                    rows = torch.cat([scores[i:i + 1], rows])
            return rows
    return Sample(torch.jit.script(Gathers()), scores(torch), ["scores"], AXES)
