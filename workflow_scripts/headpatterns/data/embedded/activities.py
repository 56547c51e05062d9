"""What people of the invented world do, step by step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """An activity of people, as ordered steps; `{x}` in a step is one of the objects."""

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
            "puts the {x} in a pot",
            "boils the {x}",
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

# Only in documents, which teach how a question asks for the next step.
FURTHER = (
    Activity(
        "Feeding a horse",
        ("hay", "corn", "oats", "grass"),
        (
            "opens the stable",
            "fills a basket with {x}",
            "gives the {x} to the horse",
            "strokes the horse",
            "closes the stable",
        ),
    ),
    Activity(
        "Sending a parcel",
        ("ring", "toy", "scarf", "flute"),
        (
            "wraps the {x} in paper",
            "puts the {x} into a box",
            "writes a name on the box",
            "brings the box to the post",
            "pays for the stamp",
        ),
    ),
    Activity(
        "Making a fire",
        ("stove", "oven", "camp", "yard"),
        (
            "chops wood for the {x}",
            "carries the wood to the {x}",
            "lights a match",
            "blows into the flames",
            "sits by the fire",
        ),
    ),
    Activity(
        "Playing music",
        ("drum", "horn", "piano", "guitar"),
        (
            "unpacks the {x}",
            "tunes the {x}",
            "plays a song on the {x}",
            "bows to the people",
            "packs the {x} again",
        ),
    ),
    Activity(
        "Going by train",
        ("town", "village", "coast", "hills"),
        (
            "buys a ticket to the {x}",
            "waits for the train",
            "looks out of the train",
            "gets off in the {x}",
            "walks to an inn",
        ),
    ),
    Activity(
        "Picking fruit",
        ("plum", "pear", "cherry", "grape"),
        (
            "climbs up a ladder",
            "picks a ripe {x}",
            "drops the {x} into a sack",
            "climbs down again",
            "sells the {x} on the market",
        ),
    ),
)
