"""A U-Net whose encoder is any convolutional backbone of timm."""

import difflib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spt.models.convolutions import conv_bn_relu
from spt.models.input_size import check_size


class DecoderLevel(nn.Module):
    """Double the map bilinearly, append the skip where there is one, two 3x3 convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fuse = nn.Sequential(
            conv_bn_relu(in_channels + skip_channels, out_channels, 3), conv_bn_relu(out_channels, out_channels, 3)
        )

    def forward(
        self, x: Float[Tensor, "b i h w"], skip: Float[Tensor, "b s h2 w2"] | None
    ) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at twice the size."""
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.fuse(x if skip is None else torch.cat([skip, x], dim=1))


class TimmUNet(nn.Module):
    """U-Net decoder on the features of a timm backbone.

    Speckle (b, 1, h, w) to logits (b, out_channels, h, w); h and w are multiples of the encoder's last stride, 32 for
    most.

    Args:
        encoder: a name of ``timm.list_models()`` whose features have strides that double from one to the next.
        pretrained: start the encoder from its published weights, ImageNet's for most, fetched by timm; their first
            kernels are summed over colours for one channel.
        in_channels: channels of the speckle.
        out_channels: channels of the logits, as the head asks.
        decoder_channels: channels of the decoder's levels, deepest first; where fewer are needed, the last ones.
    Raises:
        ValueError: if timm has no such encoder, its features do not fit, or the input's size is no multiple of the
            divisor.
        ConnectionError: if the weights cannot be fetched.
    Source: Ronneberger et al., U-Net (2015); Wightman, timm, ``features_only``. Differs: bilinear up-sampling,
        BatchNorm, and the encoder.
    """

    def __init__(
        self,
        encoder: str = "resnet18",
        pretrained: bool = False,
        in_channels: int = 1,
        out_channels: int = 1,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        self.name, self.in_channels = encoder, in_channels
        self.encoder = _features(encoder, pretrained, in_channels)
        info: Any = self.encoder.feature_info
        strides, channels = info.reduction(), info.channels()
        _check_strides(encoder, strides)
        self.nhwc = str(getattr(self.encoder, "output_fmt", None)).endswith("NHWC")
        _check_features(self, strides, channels)
        self.divisor: int = strides[-1]
        levels = self.divisor.bit_length() - 1
        if len(decoder_channels) < levels or min(decoder_channels, default=0) < 1:
            raise ValueError(
                f"{encoder} halves the image {levels} times: decoder_channels needs {levels} positive numbers, got "
                f"{list(decoder_channels)}."
            )
        widths = list(decoder_channels)[-levels:]
        skips = [*reversed(channels[:-1]), *[0] * levels][:levels]
        self.decoder = nn.ModuleList(
            DecoderLevel(i, s, o) for i, s, o in zip([channels[-1], *widths], skips, widths, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def features(self, speckle: Float[Tensor, "b i h w"]) -> list[Tensor]:
        """Return the encoder's maps (b, c, h, w), finest first."""
        maps: list[Tensor] = self.encoder(speckle)
        return [m.movedim(-1, 1) for m in maps] if self.nhwc else maps

    def forward(self, speckle: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Return the logits."""
        check_size(speckle, self.divisor, f"TimmUNet({self.name})")
        *skips, x = self.features(speckle)
        for level in self.decoder:
            x = level(x, skips.pop() if skips else None)
        return self.head(x)


def _features(name: str, pretrained: bool, in_channels: int) -> nn.Module:
    import timm

    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise ValueError(
            f"timm {timm.__version__} has no model {name!r}. Close: {', '.join(near) or 'none'}; "
            'all: python -c "import timm; print(timm.list_models())".'
        )
    settings: dict[str, Any] = {"pretrained": pretrained, "in_chans": in_channels, "features_only": True}
    try:
        try:
            return timm.create_model(name, strict_img_size=False, **settings)  # Swin and its kin take other sizes so
        except TypeError:
            return timm.create_model(name, **settings)
    except OSError as error:
        raise ConnectionError(
            f"the weights of {name} could not be fetched ({type(error).__name__}). Connect once, or take "
            "model.pretrained=false."
        ) from error
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        if pretrained and "pretrained" in str(error).lower():
            raise ValueError(f"{name} has no published weights. Take model.pretrained=false.") from error
        raise ValueError(f"{name} cannot be an encoder: timm builds no features of it ({error}).") from error


def _check_strides(name: str, strides: list[int]) -> None:
    doubling = all(b == 2 * a for a, b in pairwise(strides))
    if not doubling or strides[0] & (strides[0] - 1) or strides[-1] < 2:
        raise ValueError(
            f"{name} cannot be the encoder of a U-Net: its features have strides {strides}; they must double from one "
            "to the next, as resnet18's [2, 4, 8, 16, 32]."
        )


@torch.no_grad()
def _check_features(model: TimmUNet, strides: list[int], channels: list[int]) -> None:
    """Run the encoder once at the size it was made for: what it promises is not always what it gives."""
    settings: Any = model.encoder.default_cfg
    side = -(-settings["input_size"][-1] // strides[-1]) * strides[-1]
    was_training = model.training
    model.eval()
    kernel = next(model.encoder.parameters())
    try:
        maps = model.features(kernel.new_zeros(1, model.in_channels, side, side))
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{model.name} cannot be an encoder: it does not run at {side} px ({error}).") from error
    finally:
        model.train(was_training)
    given = [tuple(m.shape[1:]) for m in maps]
    promised = [(c, side // s, side // s) for c, s in zip(channels, strides, strict=True)]
    if given != promised:
        raise ValueError(
            f"{model.name} cannot be the encoder of a U-Net: at {side} px its features are {given} instead of "
            f"{promised} (channels, height, width)."
        )
