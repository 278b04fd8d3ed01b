"""Evaluate a trained network on its own data, on other data, and along curves of what may change.

python scripts/evaluate.py run=outputs/2026-…
python scripts/evaluate.py run=outputs/2026-… data=real_220grit
python scripts/evaluate.py run=outputs/2026-… data.source.camera.photoelectrons=50
python scripts/evaluate.py run=outputs/2026-… protocol=unseen_distance
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.continuing import for_hydra, own_changes
from spt.run.quoting import enter


def evaluate(cfg: DictConfig, changes: list[str]) -> None:
    """Evaluate protocol by protocol; print each table as soon as it is there."""
    from spt.run.evaluate import Request, evaluate_run

    name = str(HydraConfig.get().runtime.choices.get("data")) if cfg.data else None
    values = OmegaConf.to_object(cfg["values"]) if OmegaConf.is_config(cfg["values"]) else cfg["values"]
    simple = (cfg.images, values, cfg.baseline_pairs, cfg.phase_retrieval, cfg.refine, cfg.orientations)
    request = Request(cfg.run, cfg.protocol, *simple, cfg.out, cfg.device, cfg.data, name, changes)
    for done in evaluate_run(request):
        done.show()


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: evaluate(cfg, CHANGES))


if __name__ == "__main__":
    sys.argv[1:], CHANGES = own_changes(for_hydra(sys.argv[1:]))
    enter(main)
