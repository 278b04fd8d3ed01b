"""Look inside a trained network: attention, feature maps, saliency, effective receptive field.

python scripts/look_inside.py run=outputs/2026-… image=val_seen:0
python scripts/look_inside.py run=outputs/2026-… image=frame.png pixel=[20,31] out=inside
"""

import hydra
from omegaconf import DictConfig, OmegaConf

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def look(cfg: DictConfig) -> None:
    """Draw, then say in words what was found."""
    from spt.data.files import FileSettings
    from spt.run.look_inside import Request, look_inside

    files = FileSettings(axes=cfg.axes, colour=cfg.colour, prefix="")
    pixel = OmegaConf.to_object(cfg.pixel) if OmegaConf.is_config(cfg.pixel) else cfg.pixel
    found = look_inside(Request(cfg.run, cfg.image, cfg.frame, pixel, cfg.frames, cfg.out, cfg.device, files))
    height, width = found.input_size
    print(f"Effective receptive field: {found.side:.0f} x {found.side:.0f} px of {height}x{width} px.")
    layers = ", ".join(layer.layer for layer in found.attention.maps)
    print(f"Attention: {layers}." if layers else "Attention: left out, no layer of this network attends to a map.")
    if found.attention.others:
        print(f"Not drawn, since they attend within windows or to no map: {', '.join(found.attention.others)}.")
    print(f"Pixel y = {found.pixel[0]}, x = {found.pixel[1]}. Pictures and numbers are in {found.out}.")


@hydra.main(version_base="1.3", config_path="../configs", config_name="look_inside")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: look(cfg))


if __name__ == "__main__":
    enter(main)
