"""Rows of every dataset in its real schemas: those of its authors' release and those of the Hugging Face hub."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

GSM8K = {"question": "Two hens lay 600 eggs each. How many?", "answer": "2*600=<<2*600=1200>>1200 eggs\n#### 1,200"}
MATH = {
    "problem": "Halve $x$.",
    "level": "Level 1",
    "type": "Algebra",
    "solution": r"Not \boxed{x}, but $\boxed{\frac{x}{2}}$.",
}
CODE = 'def twice(self, x):\n        """Double x.\n\n        Always.\n        """\n        return 2 * x'
CODESEARCHNET = {
    "repo": "someone/thing",
    "path": "thing/maths.py",
    "func_name": "Thing.twice",
    "original_string": CODE,
    "language": "python",
    "code": CODE,
    "docstring": "Double x.\n\n        Always.",
    "url": "https://github.com/someone/thing/blob/0a/thing/maths.py#L3-L9",
    "partition": "train",
}
CODESEARCHNET_ON_HUB = {
    "repository_name": CODESEARCHNET["repo"],
    "func_path_in_repository": CODESEARCHNET["path"],
    "func_name": CODESEARCHNET["func_name"],
    "whole_func_string": CODE,
    "language": "python",
    "func_code_string": CODE,
    "func_documentation_string": CODESEARCHNET["docstring"],
    "split_name": "train",
    "func_code_url": CODESEARCHNET["url"],
}
PROGRAM = "def solution():\n    #Three and four\n    return 3 + 4"
HELLASWAG = {
    "ind": 7,
    "activity_label": "Baking",
    "ctx_a": "A man opens the oven.",
    "ctx_b": "he",
    "ctx": "A man opens the oven. he",
    "split": "train",
    "split_type": "indomain",
    "label": 2,
    "endings": ["flies off.", "sings.", "takes the bread out.", "falls asleep."],
    "source_id": "activitynet~v_1",
}
WINOGRANDE = {
    "qID": "3ABC-2",
    "sentence": "The cup is not in the box because the _ is small.",
    "option1": "cup",
    "option2": "box",
    "answer": "2",
}
ARC = {
    "id": "Mercury_1",
    "question": {
        "stem": "What melts ice?",
        "choices": [{"text": "cold", "label": "1"}, {"text": "heat", "label": "2"}, {"text": "wind", "label": "3"}],
    },
    "answerKey": "2",
}
ARC_ON_HUB = {
    "id": "Mercury_1",
    "question": "What melts ice?",
    "choices": {"text": ["cold", "heat", "wind"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
INFINITY = {
    "id": 12,
    "conversations": [
        {"from": "human", "value": "Is every square a rectangle?"},
        {"from": "gpt", "value": "Yes."},
        {"from": "human", "value": "And the reverse?"},
        {"from": "gpt", "value": "No."},
    ],
    "label": {"ability_en": ["logical reasoning"], "cate_ability_en": ["Logic and  Reasoning", "mathematics"]},
    "langdetect": "en",
}
MATHBENCH = {"question": "1+1等于几?", "options": ["1", "2", "3", "4"], "answer": "B", "topic": "加法"}
REFGPT = {
    "title": "长江",
    "reference": "长江是亚洲第一长河。",
    "dialogue": "<user>长江有多长？\n<assistant>约6300公里。\n<user>谢谢\n<assistant>不客气",
}

MMLU = {"question": "What is 2 + 2?", "A": "3", "B": "4", "C": "5", "D": "6", "answer": "B"}
MMLU_ON_HUB = {"question": "What is 2 + 2?", "subject": "anatomy", "choices": ["3", "4", "5", "6"], "answer": 1}
SGSM = {"output": f"Question: What is 3 + 4?\nSolution:\n{PROGRAM}", "instruction": "Write", "input": ""}
SGSM_ON_HUB = {"question": "What is 3 + 4?", "solution": PROGRAM, "answer": 7.0}
ALPACA = {"instruction": "Add.", "input": "3 and 4", "output": "7", "system": "Be brief."}
CHAT = {"messages": [{"role": "user", "content": "Say 7."}, {"role": "assistant", "content": "7"}]}
PLAIN = {"ask": "What is 3 + 4?", "tell": "It is 7.", "gold": "7", "options": ["7", "8"], "kinds": ["sum"], "name": "a"}
COLUMNS = {"prompt": "ask", "response": "tell", "answer": "gold", "choices": "options", "tags": "kinds", "id": "name"}


class Schema(NamedTuple):
    """One form of the rows of a dataset: its adapter with options, a row, and the name of a file for it."""

    adapter: str
    row: dict[str, Any]
    options: Mapping[str, Any] = MappingProxyType({})
    file: str = "rows.jsonl"


SCHEMAS = {
    "gsm8k": Schema("gsm8k", GSM8K),
    "math": Schema("math", MATH),
    "codesearchnet, raw": Schema("codesearchnet", CODESEARCHNET),
    "codesearchnet, hub": Schema("codesearchnet", CODESEARCHNET_ON_HUB),
    "codesearchnet, to docstrings": Schema("codesearchnet", CODESEARCHNET, {"direction": "to_docstring"}),
    "sgsm, raw": Schema("sgsm", SGSM),
    "sgsm, hub": Schema("sgsm", SGSM_ON_HUB),
    "hellaswag, raw": Schema("hellaswag", HELLASWAG),
    "hellaswag, hub": Schema("hellaswag", {**HELLASWAG, "label": "2"}),
    "winogrande, raw": Schema("winogrande", WINOGRANDE),
    "winogrande, hub": Schema("winogrande", {name: cell for name, cell in WINOGRANDE.items() if name != "qID"}),
    "arc, raw": Schema("arc", ARC),
    "arc, hub": Schema("arc", ARC_ON_HUB),
    "infinity_instruct": Schema("infinity_instruct", INFINITY),
    "infinity_instruct, tags": Schema("infinity_instruct", INFINITY, {"tags": ["mathematics"], "match": "any"}),
    "infinity_instruct, all turns": Schema("infinity_instruct", INFINITY, {"turns": "all"}),
    "mathbench, choice": Schema("mathbench", MATHBENCH),
    "mathbench, cloze": Schema("mathbench", {"question": "1+1等于几?", "answer": "2", "topic": "加法"}),
    "refgpt, marked": Schema("refgpt", REFGPT),
    "refgpt, all turns": Schema("refgpt", REFGPT, {"turns": "all"}),
    "refgpt, listed": Schema("refgpt", {"dialogue": CHAT["messages"]}),
    "mmlu, raw": Schema("mmlu", MMLU, file="anatomy_test.csv"),
    "mmlu, hub": Schema("mmlu", MMLU_ON_HUB),
    "generic, columns": Schema("generic", PLAIN, {"columns": COLUMNS}),
    "generic, alpaca": Schema("generic", ALPACA, {"style": "alpaca"}),
    "generic, chat": Schema("generic", CHAT, {"style": "chat"}),
}
"""Every adapter, with each form of rows that it reads."""
