"""What people of the invented world do, step by step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """Something people do, as steps in their order; `{x}` in a step is one of the objects."""

    label: str
    objects: tuple[str, ...]
    steps: tuple[str, ...]


ACTIVITIES = (
    Activity(
        "Washing dishes",
        ("cup", "plate", "pot", "spoon"),
        (
            "fills the sink with water",
            "puts the {x} in the water",
            "washes the {x} with soap",
            "dries the {x} with a towel",
            "puts the {x} on the shelf",
        ),
    ),
    Activity(
        "Planting",
        ("seed", "tree", "flower", "bean"),
        (
            "digs a hole for the {x}",
            "puts the {x} in the hole",
            "covers the {x} with soil",
            "pours water on the soil",
            "waits for the {x} to grow",
        ),
    ),
    Activity(
        "Baking",
        ("bread", "cake", "pie", "pizza"),
        (
            "mixes flour and water",
            "forms the {x} on the table",
            "puts the {x} in the oven",
            "takes the hot {x} out",
            "cuts the {x} and eats it",
        ),
    ),
    Activity(
        "Painting",
        ("door", "wall", "chair", "fence"),
        (
            "opens a can of paint",
            "dips the brush in the paint",
            "moves the brush over the {x}",
            "lets the paint on the {x} dry",
            "looks at the red {x}",
        ),
    ),
    Activity(
        "Fishing",
        ("river", "lake", "sea", "pond"),
        (
            "walks to the {x} with a rod",
            "puts a worm on the hook",
            "throws the hook into the {x}",
            "pulls a fish out of the {x}",
            "carries the fish home",
        ),
    ),
    Activity(
        "Reading",
        ("book", "letter", "story", "paper"),
        (
            "takes the {x} from the shelf",
            "sits down in a chair",
            "opens the {x}",
            "reads the {x} to the end",
            "tells a friend about the {x}",
        ),
    ),
    Activity(
        "Cleaning",
        ("room", "kitchen", "floor", "shop"),
        (
            "takes a broom",
            "sweeps the {x} with the broom",
            "fills a bucket with water",
            "wipes the {x} with a cloth",
            "empties the bucket",
        ),
    ),
    Activity(
        "Bathing an animal",
        ("dog", "cat", "horse", "pig"),
        (
            "calls the {x} to the yard",
            "pours water over the {x}",
            "rubs soap on the {x}",
            "rinses the soap off the {x}",
            "lets the {x} run in the sun",
        ),
    ),
    Activity(
        "Making soup",
        ("onion", "carrot", "potato", "leek"),
        (
            "peels the {x}",
            "cuts the {x} into slices",
            "puts the slices in a pot",
            "boils the soup",
            "pours the soup into a bowl",
        ),
    ),
    Activity(
        "Building",
        ("tower", "house", "bridge", "boat"),
        (
            "draws a plan of the {x}",
            "cuts the wood with a saw",
            "joins the wood with nails",
            "tests the {x}",
            "shows the {x} to a friend",
        ),
    ),
    Activity(
        "Fixing things",
        ("bike", "car", "clock", "lamp"),
        (
            "looks at the broken {x}",
            "takes a tool from the box",
            "opens the {x} with the tool",
            "changes a part of the {x}",
            "tries the {x} again",
        ),
    ),
    Activity(
        "Sewing",
        ("shirt", "dress", "coat", "hat"),
        (
            "cuts the cloth for the {x}",
            "takes a needle and a thread",
            "sews the {x}",
            "irons the {x}",
            "puts on the new {x}",
        ),
    ),
)
