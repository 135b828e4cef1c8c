"""Published recipes: values, each with the file that states it, beside a recipe of ours."""

from dataclasses import dataclass, field

from docs.recipes.fields import Value


@dataclass(frozen=True)
class Claim:
    """Values that one source states for the ViT sizes ``sizes`` (letters of S, B and L).

    The names of the values are those of ``recipe_fields.FIELDS``.
    """

    sizes: str
    source: str
    values: dict[str, Value]


@dataclass(frozen=True)
class PublishedRecipe:
    """A recipe of ours, and what is published of it. What no claim covers is ours.

    Args:
        title: of the recipe.
        configs: path below ``configs/`` with ``{size}`` for s, b and l.
        fields: settings to compare, in order.
        claims: of the sources; where two state the same setting of a size, the first counts.
        differences: setting -> why ours differs; a difference without a reason is a mistake.
        note: what the table cannot say.
    """

    title: str
    configs: str
    fields: tuple[str, ...]
    claims: tuple[Claim, ...]
    differences: dict[str, str] = field(default_factory=dict)
    note: str = ''


TRAINING = (
    'length', 'batch', 'peak_lr', 'schedule', 'warmup', 'warmup_start', 'optimizer', 'betas',
    'weight_decay', 'undecayed', 'clip',
)  # fmt: skip
WARMUP_START = 'a rate of exactly 0 would waste a step; at most a step of the warm-up apart'
