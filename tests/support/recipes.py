"""Options of finetune.py and pretrain.py, of which those of the recipe become the JSON that states it."""

import json

from headpatterns.training.recipe import KEYS


def with_recipe(options):
    """The options with `recipe` in place of the recipe's keys."""
    stated = {key: options[key] for key in KEYS if key in options}
    return {**{name: value for name, value in options.items() if name not in stated}, "recipe": json.dumps(stated)}
