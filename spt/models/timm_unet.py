"""A U-Net whose encoder is any convolutional backbone of timm."""

import difflib
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.models.convolutions import conv_bn_relu
from spt.models.input_size import check_size, one_value


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
    most. Encoders with windows or tables of a fixed size (MaxViT, Hiera, CoAtNet, EfficientFormer) take larger steps or
    one size alone; other sizes are refused.

    Args:
        encoder: a name of ``timm.list_models()`` whose features have strides that double from one to the next.
        pretrained: start the encoder from its published weights, ImageNet's for most, fetched by timm; their first
            kernels are summed over colours for one channel.
        in_channels: channels of the speckle.
        out_channels: channels of the logits, as the head asks.
        decoder_channels: channels of the decoder's levels, deepest first; where fewer are needed, the last ones.
    Raises:
        InvalidValue: if timm has no such encoder, its features do not fit, or the encoder cannot take the input's size.
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
        self.divisor, self.only_size = _accepted_sizes(self, strides, channels)
        levels = strides[-1].bit_length() - 1
        if len(decoder_channels) < levels or min(decoder_channels, default=0) < 1:
            raise InvalidValue(
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
        if self.only_size is not None and speckle.shape[-2:] != (self.only_size, self.only_size):
            h, w = speckle.shape[-2:]
            raise InvalidValue(
                f"TimmUNet({self.name}): this encoder takes {self.only_size}x{self.only_size} px alone, got {h}x{w}. "
                "Choose an encoder that takes any size, such as model.encoder=resnet18."
            )
        check_size(speckle, self.divisor, f"TimmUNet({self.name})")
        try:
            *skips, x = self.features(speckle)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InvalidValue(one_value(f"TimmUNet({self.name})", *speckle.shape[-2:])) from error
        for level in self.decoder:
            x = level(x, skips.pop() if skips else None)
        return self.head(x)


def _features(name: str, pretrained: bool, in_channels: int) -> nn.Module:
    import timm

    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise InvalidValue(
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
            raise InvalidValue(f"{name} has no published weights. Take model.pretrained=false.") from error
        raise InvalidValue(f"{name} cannot be an encoder: timm builds no features of it ({error}).") from error


def _check_strides(name: str, strides: list[int]) -> None:
    doubling = all(b == 2 * a for a, b in pairwise(strides))
    if not doubling or strides[0] & (strides[0] - 1) or strides[-1] < 2:
        raise InvalidValue(
            f"{name} cannot be the encoder of a U-Net: its features have strides {strides}; they must double from one "
            "to the next, as resnet18's [2, 4, 8, 16, 32]."
        )


def _accepted_sizes(model: TimmUNet, strides: list[int], channels: list[int]) -> tuple[int, int | None]:
    """Run the encoder: what it promises is not always what it gives, and some take no other size than their own.

    Returns:
        What height and width must be multiples of, and the one size that works where no other does.
    """
    settings: Any = model.encoder.default_cfg
    divisor = strides[-1]
    side = -(-settings["input_size"][-1] // divisor) * divisor
    try:
        maps = _features_at(model, side)
    except (RuntimeError, AssertionError) as error:
        raise InvalidValue(f"{model.name} cannot be an encoder: it does not run at {side} px ({error}).") from error
    given = [tuple(m.shape[1:]) for m in maps]
    promised = [(c, side // s, side // s) for c, s in zip(channels, strides, strict=True)]
    if given != promised:
        raise InvalidValue(
            f"{model.name} cannot be the encoder of a U-Net: at {side} px its features are {given} instead of "
            f"{promised} (channels, height, width)."
        )
    for step in (divisor, side):
        with suppress(RuntimeError, AssertionError):
            _features_at(model, 2 * step)
            return step, None
    return divisor, side


@torch.no_grad()
def _features_at(model: TimmUNet, side: int) -> list[Tensor]:
    kernel, was_training = next(model.encoder.parameters()), model.training
    model.eval()
    try:
        return model.features(kernel.new_zeros(1, model.in_channels, side, side))
    finally:
        model.train(was_training)
