import copy
import re

import pytest
import timm
import torch
from torch import Tensor, nn

from spt.errors import UserError
from spt.models import TimmUNet

ENCODERS = {
    "resnet18": ([2, 4, 8, 16, 32], [64, 64, 128, 256, 512]),
    "test_convnext": ([4, 8, 16, 32], [24, 32, 48, 64]),
    "vgg11": ([1, 2, 4, 8, 16, 32], [64, 128, 256, 512, 512, 512]),
    "swin_tiny_patch4_window7_224": ([4, 8, 16, 32], [96, 192, 384, 768]),
}
"""Name to strides and channels: all that the decoder is built from."""
NHWC = ["swin_tiny_patch4_window7_224"]
DECODER = (256, 128, 64, 32, 16)

built: dict[str, TimmUNet] = {}


def network(name: str) -> TimmUNet:
    """One network per encoder, in evaluation mode: building takes longer than running."""
    if name not in built:
        torch.manual_seed(0)
        built[name] = TimmUNet(name).eval()
    return built[name]


@pytest.fixture(scope="module", autouse=True)
def _forget():
    yield
    built.clear()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def unit(i: int, o: int) -> int:
    """3x3 convolution without bias, gamma, beta."""
    return 9 * i * o + 2 * o


@pytest.mark.parametrize("name", ENCODERS)
def test_every_kind_of_encoder_maps_any_multiple_of_32_to_its_size(name):
    model = network(name)
    assert model.divisor == 32
    with torch.no_grad():
        logits = model(torch.rand(2, 1, 32, 96))
    assert logits.shape == (2, 1, 32, 96)
    assert logits.isfinite().all()
    assert logits.std() > 1e-5


@pytest.mark.parametrize("name", ENCODERS)
def test_features_are_channels_first_and_finest_first(name):
    strides, channels = ENCODERS[name]
    with torch.no_grad():
        maps = network(name).features(torch.rand(1, 1, 64, 96))
    assert [m.shape for m in maps] == [(1, c, 64 // s, 96 // s) for c, s in zip(channels, strides, strict=True)]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_decoder_level_gets_the_skip_of_its_size(name):
    model, maps, received = network(name), [], []
    hooks = [model.encoder.register_forward_hook(lambda _, args, out: maps.extend(out))]
    hooks += [level.register_forward_pre_hook(lambda _, args: received.append(args)) for level in model.decoder]
    with torch.no_grad():
        model(torch.rand(1, 1, 64, 96))
    for hook in hooks:
        hook.remove()
    by_stride = dict(zip(ENCODERS[name][0], [m.movedim(-1, 1) if model.nhwc else m for m in maps], strict=True))
    assert torch.equal(received[0][0], by_stride[32])
    for (x, skip), stride in zip(received, (16, 8, 4, 2, 1), strict=True):
        assert x.shape[2:] == (64 // stride // 2, 96 // stride // 2)
        assert (skip is None) == (stride not in by_stride)
        assert skip is None or torch.equal(skip, by_stride[stride])


@pytest.mark.parametrize("name", ENCODERS)
def test_every_feature_map_is_used(name):
    # Fresh weights damp the deep maps; double precision leaves no doubt about rounding.
    model, x = copy.deepcopy(network(name)).double(), torch.rand(1, 1, 64, 64).double()
    with torch.no_grad():
        expected = model(x)
        for n in range(len(ENCODERS[name][0])):

            def without(_, args, maps: list[Tensor], n: int = n) -> list[Tensor]:
                return [torch.zeros_like(m) if i == n else m for i, m in enumerate(maps)]

            hook = model.encoder.register_forward_hook(without)
            assert (model(x) - expected).abs().max() > 1e-12, f"map {n} of {name}"
            hook.remove()


def test_a_level_appends_the_upsampled_map_to_the_skip():
    level = network("resnet18").decoder[0]
    seen = []
    hook = level.fuse.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, skip = torch.randn(1, 512, 1, 2), torch.randn(1, 256, 2, 4)
    with torch.no_grad():
        level(x, skip)
    hook.remove()
    assert torch.equal(seen[0][:, :256], skip)
    # Two samples to four, sample points between pixel centres: weights 1, 3/4, 1/4, 0; one row to two equal ones.
    up = torch.tensor([[1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1]])
    torch.testing.assert_close(seen[0][:, 256:], (x @ up).expand(-1, -1, 2, -1))


def test_nhwc_features_are_recognised():
    assert [name for name in ENCODERS if network(name).nhwc] == NHWC


def test_parameters_of_resnet18():
    # 11,689,512 of the published ResNet-18, less its 512 x 1000 classifier, less two of three input channels.
    encoder = 11_689_512 - 513_000 - 2 * 64 * 49
    ins, skips = (512, 256, 128, 64, 32), (256, 128, 64, 64, 0)
    decoder = [unit(i + s, o) + unit(o, o) for i, s, o in zip(ins, skips, DECODER, strict=True)]
    model = network("resnet18")
    assert parameters(model.encoder) == encoder
    assert [parameters(level) for level in model.decoder] == decoder
    assert parameters(model) == encoder + sum(decoder) + 16 + 1 == 14_321_809


def test_swin_takes_other_sizes_with_the_same_result_at_its_own():
    model = network("swin_tiny_patch4_window7_224")
    torch.manual_seed(1)
    own = timm.create_model("swin_tiny_patch4_window7_224", in_chans=1, features_only=True).eval()
    own.load_state_dict(model.encoder.state_dict(), strict=False)
    x = torch.rand(1, 1, 224, 224)
    with torch.no_grad():
        for ours, timms in zip(model.features(x), own(x), strict=True):
            torch.testing.assert_close(ours, timms.movedim(-1, 1), atol=1e-4, rtol=1e-4)


def test_the_look_at_the_features_leaves_the_network_as_built():
    # One pass in training mode would have moved the statistics.
    model = TimmUNet("test_resnet")
    assert model.training
    assert model.encoder.training
    assert {int(v) for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")} == {0}
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_channels_in_and_out():
    model = TimmUNet("test_resnet", in_channels=3, out_channels=2)
    assert model(torch.rand(2, 3, 32, 64)).shape == (2, 2, 32, 64)


def test_of_more_decoder_channels_the_last_are_taken():
    model = TimmUNet("test_resnet", decoder_channels=(512, 64, 32, 16, 8, 4))
    assert [level.fuse[-1][0].out_channels for level in model.decoder] == [64, 32, 16, 8, 4]
    assert model.head.in_channels == 4


def test_an_encoder_of_one_size_is_refused_at_another_and_works_at_its_own():
    # The four families have windows or tables of a fixed size.
    model = TimmUNet("efficientformerv2_s0").eval()
    message = r"efficientformerv2_s0\): this encoder takes 224x224 px alone, got 64x64\. Choose an encoder"
    with pytest.raises(UserError, match=message), torch.no_grad():
        model(torch.zeros(1, 1, 64, 64))
    with torch.no_grad():
        assert model(torch.zeros(1, 1, 224, 224)).shape == (1, 1, 224, 224)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hiera_tiny_224", "coatnet_nano_rw_224", "efficientformer_l1"])
def test_encoders_of_one_size_are_known(name):
    assert (TimmUNet(name).divisor, TimmUNet(name).only_size) == (32, 224)


@pytest.mark.slow
def test_an_encoder_of_windows_takes_multiples_of_its_own_size():
    model = TimmUNet("maxvit_tiny_tf_224").eval()
    with pytest.raises(UserError, match=r"maxvit_tiny_tf_224\): .* multiples of 224, got 64x64"), torch.no_grad():
        model(torch.zeros(1, 1, 64, 64))
    assert model.only_size is None


def test_one_image_of_one_deepest_pixel_is_refused_where_batch_norm_would_see_one_value():
    with pytest.raises(UserError, match=r"test_resnet\): of one 32x32 image .* Set data\.batch_size to 2 or more"):
        TimmUNet("test_resnet")(torch.zeros(1, 1, 32, 32))
    assert TimmUNet("test_resnet")(torch.zeros(2, 1, 32, 32)).isfinite().all()
    assert TimmUNet("test_convnext")(torch.zeros(1, 1, 32, 32)).isfinite().all()  # its norms are LayerNorms


# Refusals -----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_close_ones():
    with pytest.raises(ValueError, match=r"has no model 'resnet81'\. Close: .*resnet18.*timm\.list_models"):
        TimmUNet("resnet81")
    with pytest.raises(ValueError, match="Close: none"):
        TimmUNet("0123456789")


def test_strides_that_do_not_double_are_refused():
    message = r"vit_tiny_patch16_224 cannot be the encoder of a U-Net: its features have strides \[16, 16, 16\]"
    with pytest.raises(ValueError, match=message):
        TimmUNet("vit_tiny_patch16_224")


def test_features_of_other_sizes_than_promised_are_refused():
    # Inception convolves without padding: 157 instead of 160.
    with pytest.raises(
        ValueError, match=r"inception_v3 .* at 320 px its features are \[\(64, 157, 157\).*\(64, 160, 160"
    ):
        TimmUNet("inception_v3")


@pytest.mark.parametrize("channels", [(128, 64, 32, 16), (), (256, 128, 64, 32, 0)])
def test_too_few_decoder_channels_are_refused(channels):
    message = re.escape(
        f"resnet18 halves the image 5 times: decoder_channels needs 5 positive numbers, got {list(channels)}"
    )
    with pytest.raises(ValueError, match=message):
        TimmUNet("resnet18", decoder_channels=channels)


def test_a_name_without_published_weights_is_refused_only_where_they_are_asked():
    name = "resnetblur18"
    assert not timm.is_model_pretrained(name)
    with pytest.raises(ValueError, match=rf"{name} has no published weights\. Take model\.pretrained=false"):
        TimmUNet(name, pretrained=True)
    TimmUNet(name)


def test_weights_that_cannot_be_fetched_are_a_connection_error(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def offline(name: str, **settings) -> None:
        asked.append((name, settings["pretrained"], settings["in_chans"]))
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConnectionError, match=r"weights of resnet18 could not be fetched.*model\.pretrained=false"):
        TimmUNet("resnet18", pretrained=True)
    assert asked == [("resnet18", True, 1)]


def test_an_encoder_that_timm_cannot_build_is_refused(monkeypatch: pytest.MonkeyPatch):
    def broken(name: str, **settings) -> None:
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(timm, "create_model", broken)
    with pytest.raises(ValueError, match=r"resnet18 cannot be an encoder.*features_only not implemented"):
        TimmUNet("resnet18")


@pytest.mark.parametrize(("h", "w", "near"), [(48, 64, "32x64 and 64x64"), (200, 200, "192x192 and 224x224")])
def test_a_size_that_is_no_multiple_of_the_divisor_is_refused(h, w, near):
    message = rf"TimmUNet\(resnet18\): .*multiples of 32, got {h}x{w}\. Nearest sizes that work: {near}"
    with pytest.raises(ValueError, match=message):
        network("resnet18")(torch.zeros(1, 1, h, w))
