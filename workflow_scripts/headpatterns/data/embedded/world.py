"""The small invented world: people, things, activities and facts, in English and Chinese.

Everything the datasets ask and the corpus tells is drawn from here, so that a model can meet the knowledge in
pretraining and each task's form in fine-tuning. The vocabulary is kept small on purpose: tiny models learn it.
"""

from dataclasses import dataclass

PEOPLE = {
    "Ann": "she",
    "Eva": "she",
    "Mia": "she",
    "Sue": "she",
    "Kim": "she",
    "Ben": "he",
    "Tom": "he",
    "Leo": "he",
    "Max": "he",
    "Sam": "he",
}
NAMES = tuple(PEOPLE)

# singular -> plural, things that are counted, bought and given away
THINGS = {
    "apple": "apples",
    "egg": "eggs",
    "book": "books",
    "cup": "cups",
    "card": "cards",
    "ball": "balls",
    "pen": "pens",
    "seed": "seeds",
    "stone": "stones",
    "cake": "cakes",
    "plate": "plates",
    "hat": "hats",
}

# Lists of numbers in programs; the corpus and the assistant's programs speak of these, CodeSearchNet's of THINGS.
QUANTITIES = {
    "value": "values",
    "number": "numbers",
    "point": "points",
    "price": "prices",
    "size": "sizes",
    "age": "ages",
    "cost": "costs",
    "mark": "marks",
}


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


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


@dataclass(frozen=True)
class Schema:
    """A sentence about two parties whose last words decide which of them is meant.

    `first` and `second` complete `text` so that the blank stands for `{a}` and for `{b}`. The parties are people,
    or the two kinds of things in `things`; `objects` fills `{x}`.
    """

    text: str
    first: str
    second: str
    things: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    objects: tuple[str, ...] = ("",)


THING_NAMES = tuple(THINGS)
CONTAINERS = ("bag", "box", "basket", "drawer")
VESSELS = ("bottle", "bucket", "jug", "can")

SCHEMAS = (
    Schema("The {a} does not fit in the {b} because the _", "is too big", "is too small", (THING_NAMES, CONTAINERS)),
    Schema("The {a} broke the {b} because the _", "was hard", "was weak", (("stone", "ball", "book"), CONTAINERS)),
    Schema("Water ran from the {a} into the {b} until the _", "was empty", "was full", (VESSELS, CONTAINERS + VESSELS)),
    Schema("{a} gave {b} the {x} because _", "was full", "was hungry", None, ("apple", "egg", "cake", "bread", "pie")),
    Schema("{a} sold {b} the {x} because _", "needed money", "needed it", None, THING_NAMES),
    Schema("{a} asked {b} about the {x} because _", "knew little", "knew a lot", None, THING_NAMES),
    Schema("{a} could lift {b} because _", "was strong", "was light"),
    Schema("{a} won the race against {b} because _", "was fast", "was slow"),
    Schema("{a} lent {b} the {x} because _", "was rich", "was poor", None, THING_NAMES),
    Schema("{a} thanked {b} for the {x} because _", "got it", "gave it", None, THING_NAMES),
    Schema("{a} taught {b} to paint the {x} because _", "was a teacher", "was a child", None, ("door", "wall", "hat")),
)


@dataclass(frozen=True)
class Relation:
    """Facts of one kind: `pairs` of subject and value, one statement and a question in either direction."""

    statement: str
    forward: str
    backward: str
    pairs: dict[str, str]


RELATIONS = {
    "food": Relation(
        "A {s} eats {v}.",
        "What does a {s} eat?",
        "Which animal eats {v}?",
        {"cow": "grass", "cat": "fish", "hen": "seeds", "fox": "mice", "frog": "flies", "bee": "nectar"},
    ),
    "home": Relation(
        "A {s} lives in a {v}.",
        "Where does a {s} live?",
        "Which animal lives in a {v}?",
        {"bird": "nest", "bee": "hive", "bear": "cave", "fish": "river", "camel": "desert", "pig": "farm"},
    ),
    "group": Relation(
        "A {s} is {v}.",
        "What is a {s}?",
        "Which animal is {v}?",
        {"cow": "a mammal", "hen": "a bird", "bee": "an insect", "snake": "a reptile", "trout": "a fish"},
    ),
    "legs": Relation(
        "A {s} has {v} legs.",
        "How many legs has a {s}?",
        "Which animal has {v} legs?",
        {"hen": "2", "cow": "4", "bee": "6", "spider": "8", "snake": "0"},
    ),
    "plant": Relation(
        "The {s} of a plant {v}.",
        "What is true of the {s} of a plant?",
        "Which part of a plant {v}?",
        {
            "root": "takes in water",
            "leaf": "makes food",
            "flower": "makes seeds",
            "stem": "holds it up",
        },
    ),
    "body": Relation(
        "The {s} {v}.",
        "What is true of the {s}?",
        "Which part of the body {v}?",
        {
            "heart": "moves blood",
            "lung": "takes in air",
            "eye": "sees light",
            "ear": "hears sound",
            "stomach": "breaks down food",
        },
    ),
    "material": Relation(
        "{s} {v}.",
        "What is true of {s}?",
        "Which material {v}?",
        {
            "metal": "carries heat",
            "glass": "lets light through",
            "rubber": "stretches",
            "wool": "keeps us warm",
            "wood": "comes from trees",
        },
    ),
    "change": Relation(
        "When {s}, it is called {v}.",
        "What is it called when {s}?",
        "What takes place in {v}?",
        {
            "a solid turns into a liquid": "melting",
            "a liquid turns into a solid": "freezing",
            "a liquid turns into a gas": "boiling",
            "a gas turns into a liquid": "condensing",
        },
    ),
    "formula": Relation(
        "The formula of {s} is {v}.",
        "What is the formula of {s}?",
        "Which matter has the formula {v}?",
        {"water": "H2O", "salt": "NaCl", "oxygen": "O2", "lime": "CaO", "rust": "Fe2O3"},
    ),
    "measure": Relation(
        "A {s} shows the {v}.",
        "What does a {s} show?",
        "Which tool shows the {v}?",
        {"thermometer": "heat", "clock": "time", "ruler": "length", "scale": "weight"},
    ),
    "device": Relation(
        "A {s} turns power into {v}.",
        "Into what does a {s} turn power?",
        "What turns power into {v}?",
        {"lamp": "light", "heater": "heat", "fan": "wind", "bell": "sound"},
    ),
    "force": Relation(
        "{s} {v}.",
        "What is true of {s}?",
        "What {v}?",
        {
            "gravity": "pulls things down",
            "friction": "slows things down",
            "a magnet": "pulls iron",
            "the wind": "moves a boat",
        },
    ),
    "sky": Relation(
        "{s} {v}.",
        "What is true of {s}?",
        "What {v}?",
        {
            "the sun": "gives light and heat",
            "the moon": "goes around the earth",
            "the earth": "goes around the sun",
            "a comet": "has a tail of ice",
        },
    ),
    "nutrient": Relation(
        "{s} gives us {v}.",
        "What does {s} give us?",
        "What gives us {v}?",
        {"an egg": "protein", "milk": "calcium", "bread": "starch", "oil": "fat", "an orange": "vitamins"},
    ),
    "capital": Relation(
        "The capital of {s} is {v}.",
        "What is the capital of {s}?",
        "Which land has the capital {v}?",
        {"Talia": "Nor", "Velia": "Ris", "Sonia": "Dal", "Moria": "Pel", "Karia": "Tun"},
    ),
    "feast": Relation(
        "At the feast of {s} people {v}.",
        "What do people do at the feast of {s}?",
        "At which feast do people {v}?",
        {"light": "burn candles", "bread": "share a meal", "water": "wash their hands", "peace": "keep silent"},
    ),
    "marketing": Relation(
        "{s} is {v}.",
        "What is {s}?",
        "What do we call {v}?",
        {
            "a price": "what a buyer pays",
            "a brand": "the name of a product",
            "an advert": "a message to buyers",
            "a market": "where goods are sold",
        },
    ),
    "management": Relation(
        "{s} is {v}.",
        "What is {s}?",
        "What do we call {v}?",
        {
            "a plan": "a list of next steps",
            "a budget": "the money for a plan",
            "a team": "people who work together",
            "a deadline": "the last day for a task",
        },
    ),
    "law": Relation(
        "{s} is {v}.",
        "What is {s}?",
        "What do we call {v}?",
        {
            "a contract": "a promise that binds",
            "theft": "taking what others own",
            "a fine": "money paid for a wrong",
            "a judge": "a person who decides a case",
            "a witness": "a person who saw the act",
        },
    ),
}


def statement(relation: Relation, subject: str) -> str:
    """The plain sentence that states one fact."""
    told = relation.statement.format(s=subject, v=relation.pairs[subject])
    return told[0].upper() + told[1:]


# The taller of two, the top and the bottom of an order.
COMPARISONS = (
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("faster", "fastest", "slowest"),
    ("richer", "richest", "poorest"),
    ("stronger", "strongest", "weakest"),
)

# kind of creature -> (what all of them are, what none of them is)
KINDS = {
    "cat": ("animal", "plant"),
    "rose": ("plant", "animal"),
    "hen": ("bird", "fish"),
    "trout": ("fish", "bird"),
    "bee": ("insect", "mammal"),
    "cow": ("mammal", "insect"),
}

# cause and effect, each as an affirmative sentence, its negation and its variable in a program
CONDITIONS = (
    (("it rains", "it does not rain", "rain"), ("the road is wet", "the road is not wet", "wet")),
    (("the sun shines", "the sun does not shine", "sun"), ("the room is warm", "the room is not warm", "warm")),
    (("the bell rings", "the bell does not ring", "bell"), ("the shop is open", "the shop is not open", "open")),
    (("the lamp is on", "the lamp is not on", "lamp"), ("the hall is light", "the hall is not light", "light")),
    (("the wind blows", "the wind does not blow", "wind"), ("the boat moves", "the boat does not move", "moves")),
)

# what people want to learn -> where, with whom, and what they need
LESSONS = {
    "swim": ("in the lake", "a coach", "time"),
    "read": ("at school", "a teacher", "books"),
    "paint": ("at home", "a painter", "brushes"),
    "cook": ("in the kitchen", "a cook", "pots"),
    "count": ("at school", "a teacher", "cards"),
    "sew": ("at home", "a tailor", "cloth"),
    "write": ("at school", "a teacher", "pens"),
    "run": ("in the park", "a coach", "shoes"),
    "build": ("in the yard", "a builder", "tools"),
    "fish": ("at the river", "a fisher", "a rod"),
}

NAMES_ZH = ("小明", "小红", "小华", "小丽")

# thing -> measure word
THINGS_ZH = {"苹果": "个", "鸡蛋": "个", "书": "本", "杯子": "个", "笔": "支", "糖": "颗", "花": "朵", "球": "个"}

# animal -> what it eats, where it lives, how many legs it has, its colour
ANIMALS_ZH = {
    "牛": ("草", "农场", "四", "黄"),
    "羊": ("草", "山上", "四", "白"),
    "猫": ("鱼", "家里", "四", "白"),
    "狗": ("肉", "家里", "四", "黄"),
    "鸡": ("米", "农场", "两", "黄"),
    "鱼": ("水草", "河里", "零", "红"),
    "鸟": ("虫", "树上", "两", "红"),
    "马": ("草", "农场", "四", "黑"),
    "熊": ("蜂蜜", "山上", "四", "黑"),
    "青蛙": ("虫", "河里", "四", "绿"),
    "蜜蜂": ("花蜜", "树上", "六", "黄"),
    "兔子": ("菜", "山上", "四", "白"),
}
# For each attribute above: the question and the statement about an animal.
QUESTIONS_ZH = ("{s}吃什么？", "{s}住在哪里？", "{s}有几条腿？", "{s}是什么颜色？")
STATEMENTS_ZH = ("{s}吃{v}。", "{s}住在{v}。", "{s}有{v}条腿。", "{s}是{v}色的。")
PLACES_ZH = ("农场", "山上", "河边", "公园", "学校", "家里")
