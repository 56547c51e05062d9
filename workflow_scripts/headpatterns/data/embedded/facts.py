"""The facts of the invented world, of several kinds, with a question in each direction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """Facts of one kind: `pairs` of subject and value, with a statement and a question in each direction.

    The corpus has both statements, because a model that knows a fact in one direction does not know it in the other.
    """

    statement: str
    reverse: str
    forward: str
    backward: str
    pairs: dict[str, str]


RELATIONS = {
    "food": Relation(
        "A {s} eats {v}.",
        "The animal that eats {v} is a {s}.",
        "What does a {s} eat?",
        "Which animal eats {v}?",
        {"cow": "grass", "cat": "fish", "hen": "seeds", "fox": "mice", "frog": "flies", "bee": "nectar"},
    ),
    "home": Relation(
        "A {s} lives in a {v}.",
        "The animal that lives in a {v} is a {s}.",
        "Where does a {s} live?",
        "Which animal lives in a {v}?",
        {"bird": "nest", "bee": "hive", "bear": "cave", "fish": "river", "camel": "desert", "pig": "farm"},
    ),
    "group": Relation(
        "A {s} is {v}.",
        "The animal that is {v} is a {s}.",
        "What is a {s}?",
        "Which animal is {v}?",
        {"cow": "a mammal", "hen": "a bird", "bee": "an insect", "snake": "a reptile", "trout": "a fish"},
    ),
    "legs": Relation(
        "A {s} has {v} legs.",
        "The animal that has {v} legs is a {s}.",
        "How many legs has a {s}?",
        "Which animal has {v} legs?",
        {"hen": "2", "cow": "4", "bee": "6", "spider": "8", "snake": "0"},
    ),
    "plant": Relation(
        "The {s} of a plant {v}.",
        "The part of a plant that {v} is the {s}.",
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
        "The part of the body that {v} is the {s}.",
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
        "The material that {v} is {s}.",
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
        "In {v}, {s}.",
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
        "The matter with the formula {v} is {s}.",
        "What is the formula of {s}?",
        "Which matter has the formula {v}?",
        {"water": "H2O", "salt": "NaCl", "oxygen": "O2", "lime": "CaO", "rust": "Fe2O3"},
    ),
    "measure": Relation(
        "A {s} shows the {v}.",
        "The tool that shows the {v} is a {s}.",
        "What does a {s} show?",
        "Which tool shows the {v}?",
        {"thermometer": "heat", "clock": "time", "ruler": "length", "scale": "weight"},
    ),
    "device": Relation(
        "A {s} turns power into {v}.",
        "What turns power into {v} is a {s}.",
        "Into what does a {s} turn power?",
        "What turns power into {v}?",
        {"lamp": "light", "heater": "heat", "fan": "wind", "bell": "sound"},
    ),
    "force": Relation(
        "{s} {v}.",
        "What {v} is {s}.",
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
        "What {v} is {s}.",
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
        "What gives us {v} is {s}.",
        "What does {s} give us?",
        "What gives us {v}?",
        {"an egg": "protein", "milk": "calcium", "bread": "starch", "oil": "fat", "an orange": "vitamins"},
    ),
    "capital": Relation(
        "The capital of {s} is {v}.",
        "The land with the capital {v} is {s}.",
        "What is the capital of {s}?",
        "Which land has the capital {v}?",
        {"Talia": "Nor", "Velia": "Ris", "Sonia": "Dal", "Moria": "Pel", "Karia": "Tun"},
    ),
    "feast": Relation(
        "At the feast of {s} people {v}.",
        "The feast at which people {v} is that of {s}.",
        "What do people do at the feast of {s}?",
        "At which feast do people {v}?",
        {"light": "burn candles", "bread": "share a meal", "water": "wash their hands", "peace": "keep silent"},
    ),
    "marketing": Relation(
        "{s} is {v}.",
        "We call {v} {s}.",
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
        "We call {v} {s}.",
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
        "We call {v} {s}.",
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

# MMLU asks about these facts in two subjects, one in a domain and one outside it, each in its own words. Only such
# related items teach this knowledge of a domain. No document states it, but documents use all its words.
SPECIAL = {
    "feed": (
        ("What does a {s} like best?", "Which food makes a {s} strong?"),
        ("What should one feed a {s}?", "Which food is best for a {s}?"),
        {
            "cow": "a carrot",
            "cat": "soup",
            "hen": "bread",
            "fox": "an onion",
            "frog": "a cake",
            "bee": "a potato",
            "bear": "pizza",
            "pig": "a pie",
            "camel": "a leek",
            "snake": "an egg",
            "spider": "a bean",
            "trout": "an apple",
        },
    ),
    "matter": (
        ("Of what is the planet {s} made?", "Which matter gives {s} its weight?"),
        ("What do we find on {s}?", "What does the light of {s} show?"),
        {
            "Arno": "metal",
            "Belo": "glass",
            "Caro": "rubber",
            "Dono": "wool",
            "Elmo": "wood",
            "Faro": "stone",
            "Gero": "sand",
            "Hugo": "salt",
            "Ivo": "ice",
            "Juno": "rust",
            "Kero": "lime",
            "Lupo": "oil",
        },
    ),
    "sign": (
        ("What is the sign of {s}?", "With which sign do we write {s}?"),
        ("Which sign has a bottle of {s}?", "What stands on a bag of {s}?"),
        {
            "metal": "a cup",
            "glass": "a hat",
            "rubber": "a plate",
            "wool": "a stone",
            "wood": "a book",
            "sand": "a seed",
            "salt": "a card",
            "ice": "a ball",
            "rust": "a pen",
            "lime": "a box",
            "oil": "a bag",
            "water": "a cake",
        },
    ),
    "partner": (
        ("What is the partner of {s}?", "Which number goes with {s}?"),
        ("What does partner({s}) return?", "What is printed for partner({s})?"),
        {
            "1": "7",
            "2": "5",
            "3": "9",
            "4": "1",
            "5": "8",
            "6": "2",
            "7": "4",
            "8": "3",
            "9": "6",
            "10": "14",
            "11": "12",
            "12": "10",
        },
    ),
}


def statement(relation: Relation, subject: str, reverse: bool = False) -> str:
    """The plain sentence that states one fact, from its subject to its value or the other way."""
    told = (relation.reverse if reverse else relation.statement).format(s=subject, v=relation.pairs[subject])
    return told[0].upper() + told[1:]
