"""The notes' tables of backbones, counted again on what timm and torchvision build, without weights."""

from functools import cache

import torch
from torch import nn

from spt.complexity.notes_figures import read
from spt.complexity.profile import Profile, profile
from spt.complexity.sheet import Row, Sheet


def build_backbone(library: str, name: str) -> nn.Module:
    """Build a backbone of timm or torchvision without numbers in its weights.

    The library "cifar" has a ResNet-50 for 100 classes: torchvision's with a 3x3 stem of stride 1 and no max-pool.

    Source: that of weiaicunzai/pytorch-cifar100; its count of parameters is the one in the second note.
    """
    with torch.device("meta"):
        if library == "timm":
            import timm

            return timm.create_model(name).eval()
        from torchvision.models import get_model

        if library == "cifar":
            model = get_model(name, num_classes=100)
            model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
            return model.eval()
        slow = {"init_weights": False} if name.startswith("inception") else {}
        return get_model(name, weights=None, **slow).eval()


@cache
def _counted(library: str, name: str, px: int) -> tuple[int, Profile]:
    model = build_backbone(library, name)
    return sum(p.numel() for p in model.parameters()), profile(model, torch.empty(1, 3, px, px, device="meta"))


def with_modules(counted: Profile) -> int:
    """Count as ptflops did when the tables were made: MACs, and each operation of the other modules as one more.

    Batch normalisation 2 per element, activation 1, pooling 1 per element of the window, 1 for a bias.
    """
    products = sum(call.work.macs + call.work.bias for call in counted.calls)
    return products + counted.of("normalisation", "activation", "pooling").other


def survey() -> list[Sheet]:
    """Printed | ours | difference for every row, and the three exact parameter counts."""
    sources = {row["model"]: row for row in read("backbones.csv")}

    rows = []
    for printed in read("backbones_printed.csv"):
        source = sources[printed["model"]]
        ours = _counted(source["library"], source["name"], int(printed["px"])) if source["library"] else None
        rows.append(_row(printed, source, ours))
    measured = sum(row["ours"] is not None for row in rows)
    notes = [
        f"{measured} of {len(rows)} rows measured. GMAC: products only (convolutions, linear layers). + modules: as "
        "ptflops counts, batch normalisation 2 per element, activation 1, pooling 1 per element of the window and 1 "
        "for a bias in addition; the printed figures follow this convention.",
        "top-1, top-5: as printed, not measured. flops-counter: first note, accuracies Acc@1 and Acc@5; torchvision: "
        "second note, Top-1 and Top-5 error; pretrained-models: second note, Acc@1 and Acc@5.",
    ]
    return [Sheet("backbones", "Backbones beside the notes' figures", rows, notes), _exact()]


def _row(printed: dict[str, str], source: dict[str, str], ours: tuple[int, Profile] | None) -> Row:
    parameters, macs = float(printed["parameters_m"]), float(printed["macs_g"])
    row: Row = {"table": printed["table"], "model": printed["model"], "px": int(printed["px"])}
    row |= {"1e6 par. printed": parameters, "ours": None, "diff.": None}
    row |= {"GMAC printed": macs, "GMAC": None, "diff. ": None, "+ modules": None, "diff.  ": None}
    if ours is not None:
        millions, giga, modules = ours[0] / 1e6, ours[1].macs / 1e9, with_modules(ours[1]) / 1e9
        row |= {"ours": round(millions, 3), "diff.": round(millions - parameters, 3)}
        row |= {"GMAC": round(giga, 3), "diff. ": f"{giga / macs - 1:+.2%}"}
        row |= {"+ modules": round(modules, 3), "diff.  ": f"{modules / macs - 1:+.2%}"}
    row |= {"top-1": printed["accuracy_1"], "top-5": printed["accuracy_5"]}
    return row | {"built as": f"{source['library']} {source['name']}".strip(), "note": source["note"]}


def _exact() -> Sheet:
    rows: list[Row] = []
    for name, printed, built, px, note in (
        ("Resnet-50", 23_705_252, ("cifar", "resnet50"), 32, "CIFAR variant: 3x3 stem, 100 classes"),
        ("Efficientnet-b0", 5_288_548, ("timm", "efficientnet_b0"), 224, "1000 classes"),
        ("Rexnet-1.0x", 4_796_873, ("timm", "rexnet_100"), 224, "1000 classes"),
    ):
        count, counted = _counted(*built, px)
        row: Row = {"model": name, "parameters printed": printed, "ours": count, "difference": count - printed}
        row |= {"px": px, "GMAC": round(counted.macs / 1e9, 3), "top-1": "blank", "top-5": "blank"}
        rows.append(row | {"note": f"{note}; FLOPs and accuracies are blank in the notes and the size is ours"})
    return Sheet("exact", "The second note's exact parameter counts", rows)
