"""Configs with their recipe applied, as plans see them."""

from mmengine.config import Config
from paths import ROOT

from symmim_mm.config.recipe import apply_recipe


def read_config(name: str, processes: int = 1, **recipe) -> Config:
    """``read_config('mae/vit_b_pretrain.py', 8, epochs=3)``: on 8 processes, with other epochs."""
    cfg = Config.fromfile(ROOT / 'configs' / name)
    cfg.recipe.update(recipe)
    if 'evaluation' not in cfg:
        apply_recipe(cfg, processes)
    return cfg
