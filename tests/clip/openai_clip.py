"""A restatement of CLIP with the parameter names and layouts of openai/CLIP and open_clip.

An independent witness for those formats: it computes with PyTorch's own attention, and TorchScript
can compile it into an archive as OpenAI published them.
"""

import warnings
from collections import OrderedDict

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIPConfig, ImageConfig, TextConfig


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualBlock(nn.Module):
    def __init__(self, width: int, heads: int, mlp_width: int, activation: str) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        act = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        layers = {"c_fc": nn.Linear(width, mlp_width), "gelu": act}
        layers["c_proj"] = nn.Linear(mlp_width, width)
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, config: ImageConfig | TextConfig, activation: str) -> None:
        super().__init__()
        sizes = config.width, config.heads, config.mlp_width, activation
        self.resblocks = nn.ModuleList(ResidualBlock(*sizes) for _ in range(config.blocks))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class VisionTransformer(nn.Module):
    def __init__(self, config: ImageConfig, embed: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.positional_embedding = nn.Parameter(torch.empty(config.patches + 1, config.width))
        self.ln_pre = nn.LayerNorm(config.width)
        self.transformer = Transformer(config, activation)
        self.ln_post = nn.LayerNorm(config.width)
        self.proj = nn.Parameter(torch.empty(config.width, embed))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        mask = torch.zeros(x.shape[1], x.shape[1])
        return self.ln_post(self.transformer(x, mask)[:, 0]) @ self.proj


class OpenAICLIP(nn.Module):
    """CLIP as the file formats of OpenAI and open_clip have it."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        text = config.text
        self.visual = VisionTransformer(config.image, config.embed, config.activation)
        self.transformer = Transformer(text, config.activation)
        self.token_embedding = nn.Embedding(text.vocabulary, text.width)
        self.positional_embedding = nn.Parameter(torch.empty(text.context, text.width))
        self.ln_final = nn.LayerNorm(text.width)
        self.text_projection = nn.Parameter(torch.empty(text.width, config.embed))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.2, generator=generator)

    def forward(self, images: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
        x = self.ln_final(self.transformer(x, mask))
        x = x[torch.arange(x.shape[0]), ids.argmax(dim=-1)]  # the end of text has the highest id
        return self.visual(images), x @ self.text_projection


def write_archive(model: OpenAICLIP, config: CLIPConfig, path: str) -> None:
    """Compile ``model`` into a TorchScript archive with the entries that OpenAI's have."""
    model.register_buffer("input_resolution", torch.tensor(config.image.side))
    model.register_buffer("context_length", torch.tensor(config.text.context))
    model.register_buffer("vocab_size", torch.tensor(config.text.vocabulary))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the archives stay what they are
        torch.jit.script(model).save(path)
