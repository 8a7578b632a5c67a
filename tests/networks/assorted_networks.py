"""Networks beyond the usual list, one for each way in which exporters write something: graphs, flows, fields, experts, spatial transforms."""
from torch_export import Sample, torch_network

ONLY_DYNAMO = (("dynamo", (18,)),)


@torch_network(needs=("torchvision",), exporters=(("torchscript", (17,)),))
def video_resnet(torch):
    """3-D convolutions."""
    from torchvision.models.video import VideoResNet
    from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, Conv3DSimple, R2Plus1dStem
    module = VideoResNet(BasicBlock, [Conv3DSimple, Conv2Plus1D, Conv2Plus1D, Conv2Plus1D], [1, 1, 1, 1], R2Plus1dStem)
    return Sample(module, [(torch.randn(n, 3, 6, 32, 32),) for n in (1, 2)], ["clip"], {"clip": {0: "batch"}})


@torch_network()
def generator(torch):
    """DCGAN: transposed convolutions from noise."""
    nn = torch.nn
    module = nn.Sequential(nn.Unflatten(1, (16, 1, 1)), nn.ConvTranspose2d(16, 32, 4, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
                           nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                           nn.ConvTranspose2d(16, 8, 3, stride=3, padding=1, output_padding=1, groups=2), nn.PReLU(8),
                           nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1, dilation=2), nn.Tanh())
    return Sample(module, [(torch.randn(n, 16),) for n in (3, 1)], ["noise"], {"noise": {0: "batch"}})


@torch_network()
def variational_autoencoder(torch):
    nn = torch.nn

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ELU(), nn.Linear(32, 12))
            self.decode = nn.Sequential(nn.Linear(6, 32), nn.SELU(), nn.Linear(32, 64), nn.Sigmoid(), nn.Unflatten(1, (8, 8)))

        def forward(self, x, noise):
            mean, log_variance = self.encode(x).chunk(2, 1)
            z = mean + noise * torch.exp(0.5 * log_variance)
            divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=1)
            return self.decode(z), divergence
    return Sample(Autoencoder(), [(torch.rand(n, 8, 8), torch.randn(n, 6)) for n in (2, 5)], ["x", "noise"],
                  {"x": {0: "batch"}, "noise": {0: "batch"}})


@torch_network()
def graph_convolution(torch):
    """Messages along edges, summed where they arrive; sizes of nodes and edges vary."""
    nn = torch.nn

    class GraphConvolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(5, 8), nn.Linear(8, 8)])
            self.gate = nn.Linear(16, 1)

        def forward(self, x, edges):
            source, target = edges[0], edges[1]
            for layer in self.layers:
                x = layer(x)
                weight = torch.sigmoid(self.gate(torch.cat([x[source], x[target]], 1)))
                total = torch.zeros_like(x).index_add(0, target, x[source] * weight)
                count = torch.zeros(x.shape[0]).scatter_add(0, target, torch.ones_like(target, dtype=torch.float32))
                x = torch.relu(x + total / count.clamp(min=1)[:, None])
            return x.mean(0), x.amax(0)
    arguments = [(torch.randn(n, 5), torch.randint(0, n, (2, e))) for n, e in ((6, 14), (4, 5), (9, 30))]
    return Sample(GraphConvolution(), arguments, ["x", "edges"], {"x": {0: "nodes"}, "edges": {1: "edges"}})


@torch_network()
def radiance_field(torch):
    """NeRF: sines and cosines of a place, a deep MLP with a skip, densities summed along a ray."""
    nn = torch.nn

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scales", 2.0 ** torch.arange(4))
            self.first = nn.Sequential(nn.Linear(27, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
            self.second = nn.Sequential(nn.Linear(59, 32), nn.Softplus(), nn.Linear(32, 4))

        def forward(self, points, steps):
            angles = (points[..., None] * self.scales).flatten(-2)
            x = torch.cat([points, angles.sin(), angles.cos()], -1)
            out = self.second(torch.cat([self.first(x), x], -1))
            opacity = 1 - torch.exp(-torch.relu(out[..., 3]) * steps)
            light = torch.exp(torch.cumsum(torch.log(torch.cat([torch.ones_like(opacity[..., :1]), 1 - opacity + 1e-10], -1)), -1))[..., :-1]
            return (torch.sigmoid(out[..., :3]) * (light * opacity)[..., None]).sum(-2), torch.cumsum(opacity, -1)
    arguments = [(torch.randn(n, t, 3), torch.rand(n, t)) for n, t in ((4, 7), (2, 10))]
    axes = {0: "rays", 1: "steps"}
    return Sample(Field(), arguments, ["points", "steps"], {"points": axes, "steps": axes}, )


@torch_network()
def spatial_transformer(torch):
    """A grid made by a network, and the image read along it."""
    nn = torch.nn

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.locate = nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(16, 6))
            self.classify = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Flatten(), nn.Linear(100, 3))

        def forward(self, x):
            theta = self.locate(x).view(-1, 2, 3) * 0.3 + torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
            ys, xs = torch.meshgrid(torch.linspace(-1, 1, 12), torch.linspace(-1, 1, 12), indexing="ij")
            places = torch.stack([xs, ys, torch.ones_like(xs)], -1).view(1, -1, 3)
            grid = (places @ theta.transpose(1, 2)).view(-1, 12, 12, 2)
            seen = nn.functional.grid_sample(x, grid, align_corners=False)
            return self.classify(seen), seen
    return Sample(Transformer(), [(torch.randn(2, 1, 12, 12),), (torch.randn(2, 1, 12, 12),)], ["x"])


@torch_network()
def mixture_of_experts(torch):
    """The two best of four experts for each word."""
    nn = torch.nn

    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(8, 4)
            self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.GELU("tanh"), nn.Linear(16, 8)) for _ in range(4))

        def forward(self, x):
            weights, chosen = torch.topk(self.gate(x).softmax(-1), 2)
            weights = weights / weights.sum(-1, keepdim=True)
            share = torch.zeros(*x.shape[:2], 4).scatter(-1, chosen, weights)
            everyone = torch.stack([expert(x) for expert in self.experts], -2)
            return torch.einsum("ble,bled->bld", share, everyone), chosen
    return Sample(Experts(), [(torch.randn(n, t, 8),) for n, t in ((2, 5), (3, 2))], ["x"], {"x": {0: "batch", 1: "length"}})


@torch_network(exporters=ONLY_DYNAMO)
def encoder_of_torch(torch):
    """torch's own TransformerEncoder and MultiheadAttention, with a causal mask and padding."""
    nn = torch.nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True, activation="gelu")
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.pool = nn.MultiheadAttention(16, 2, batch_first=True)
            self.query = nn.Parameter(torch.randn(1, 1, 16))

        def forward(self, x, padding):
            causal = torch.triu(torch.full((x.shape[1], x.shape[1]), float("-inf")), 1)
            y = self.encoder(x, mask=causal, is_causal=True)
            pooled, weights = self.pool(self.query.expand(x.shape[0], -1, -1), y, y, key_padding_mask=padding)
            return pooled, weights
    arguments = [(torch.randn(n, t, 16), torch.arange(t)[None].expand(n, t) >= t - 1 - torch.arange(n)[:, None]) for n, t in ((2, 6), (2, 4))]
    return Sample(Encoder(), arguments, ["x", "padding"], {"x": {1: "length"}, "padding": {1: "length"}})


@torch_network(exporters=(("torchscript", (18,)), ("dynamo", (18,))))
def mixer(torch):
    """MLP-Mixer, with patches by unfold."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, places, width):
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.places = nn.Sequential(nn.Linear(places, 24), nn.GELU(), nn.Linear(24, places))
            self.channels = nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width))

        def forward(self, x):
            x = x + self.places(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
            return x + self.channels(self.norms[1](x))

    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(48, 16)
            self.blocks = nn.Sequential(Block(16, 16), Block(16, 16))

        def forward(self, x):
            patches = nn.functional.unfold(x, 4, stride=4).transpose(1, 2)
            y = self.blocks(self.embed(patches))
            back = nn.functional.fold(y.transpose(1, 2).repeat(1, 3, 1), (16, 16), 4, stride=4)
            return y.mean(1), back
    return Sample(Mixer(), [(torch.randn(2, 3, 16, 16),), (torch.randn(2, 3, 16, 16),)], ["x"])


@torch_network()
def point_cloud(torch):
    """PointNet with nearest neighbours: distances of all pairs, the closest ones gathered, the maximum over them."""
    nn = torch.nn

    class PointCloud(nn.Module):
        def __init__(self):
            super().__init__()
            self.edge = nn.Sequential(nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2))
            self.head = nn.Sequential(nn.Conv1d(8, 16, 1), nn.ReLU(), nn.Conv1d(16, 4, 1))

        def forward(self, x):
            distances = ((x[:, :, None] - x[:, None]) ** 2).sum(-1)
            near = torch.argsort(distances, -1)[:, :, :4]
            batch, count, _ = x.shape
            rows = torch.arange(batch)[:, None, None]
            neighbours = x[rows, near]
            pairs = torch.cat([neighbours - x[:, :, None], x[:, :, None].expand_as(neighbours)], -1).permute(0, 3, 1, 2)
            return self.head(self.edge(pairs).amax(-1)).max(-1)
    return Sample(PointCloud(), [(torch.randn(n, m, 3),) for n, m in ((2, 9), (1, 14))], ["points"], {"points": {0: "batch", 1: "count"}})


@torch_network()
def normalizing_flow(torch):
    """Affine couplings, with the logarithm of the determinant; odd columns by a step, and back."""
    nn = torch.nn

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = nn.ModuleList(nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 6)) for _ in range(3))

        def forward(self, x):
            total = torch.zeros_like(x[:, 0])
            for net in self.nets:
                even, odd = x[:, ::2], x[:, 1::2]
                scale, shift = net(even).split(3, 1)
                scale = torch.clamp(scale, -2, 2)
                odd = odd * torch.exp(scale) + shift
                total = total + scale.sum(1)
                x = torch.stack([odd, even], 2).flatten(1).flip(1).roll(1, 1)
            return x, total, torch.logsumexp(x, 1), torch.where(x > 0, x, x.sign())
    return Sample(Flow(), [(torch.randn(n, 6),) for n in (4, 1)], ["x"], {"x": {0: "batch"}})


@torch_network()
def matrix_factors(torch):
    """Users and items, masked means of histories, the best items; integers and floats mixed."""
    nn = torch.nn

    class Recommender(nn.Module):
        def __init__(self):
            super().__init__()
            self.items = nn.Embedding(30, 8, padding_idx=0)
            self.users = nn.Embedding(12, 8)
            self.bias = nn.Parameter(torch.randn(30) * 0.1)
            self.mix = nn.Linear(16, 8)

        def forward(self, user, history):
            seen = (history != 0).unsqueeze(-1)
            mean = (self.items(history) * seen).sum(1) / seen.sum(1).clamp(min=1)
            scores = self.mix(torch.cat([mean, self.users(user)], 1)) @ self.items.weight.t() + self.bias
            scores = scores.masked_fill(torch.zeros_like(scores, dtype=torch.bool).scatter(1, history, torch.ones_like(history, dtype=torch.bool)), -1e9)
            best = scores.topk(5, sorted=True)
            return best.values, best.indices, scores.argmax(1), (scores > -1e8).sum(1), torch.div(best.indices, 4, rounding_mode="floor")
    arguments = [(torch.randint(0, 12, (n,)), torch.randint(0, 30, (n, t))) for n, t in ((3, 4), (1, 6))]
    return Sample(Recommender(), arguments, ["user", "history"], {"user": {0: "batch"}, "history": {0: "batch", 1: "length"}})
