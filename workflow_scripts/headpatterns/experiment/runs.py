"""A run and its name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A fine-tuning: a base model, a task with the group that sets its size, and a seed."""

    model: str
    group: str
    task: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name below its model, such as `nlp.gsm8k.seed0`."""
        return f"{self.group}.{self.task}.seed{self.seed}"

    @classmethod
    def named(cls, model: str, name: str) -> "Run":
        """The run of that name."""
        group, task, seed = name.split(".")
        return cls(model, group, task, int(seed.removeprefix("seed")))
