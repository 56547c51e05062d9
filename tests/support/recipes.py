"""Turns the recipe's options of finetune.py and pretrain.py into the JSON text of the option `recipe`."""

import json

from headpatterns.training.recipe import KEYS


def with_recipe(options):
    """The options with `recipe` in place of the recipe's keys."""
    stated = {key: options[key] for key in KEYS if key in options}
    return {**{name: value for name, value in options.items() if name not in stated}, "recipe": json.dumps(stated)}
