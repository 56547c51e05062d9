"""A run: a base model, a training set and a seed. Its name is printed from these and never read back.

The training set is a typed value. Its `group` decides the recipe: a task group, or the study of section 5 that the run
belongs to. Its `task` stands in the place of a task's name, as in `nlp.gsm8k.seed0` or `mixing.ours.seed0`. Its
`datasets` are the datasets and splits that its samples may come from, and its `probe_sets` what patterns are taken on.
"""

from dataclasses import dataclass

MIXING, SELECTION, FINETUNED = "mixing", "selection", "finetuned"
HEADS = "trained_heads"
"""The group of runs that train the weights of some heads alone."""
TRAINING = "training"
"""In the place of a probe set's name: the training samples of the run itself."""
BASE = "base"
"""In the place of a run's name: the model before any run; where each seed has its own, `.seedN` follows."""

Datasets = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TaskSet:
    """Training samples of a task, as many as the smallest task of its group has."""

    group: str
    task: str

    @property
    def datasets(self) -> Datasets:
        """The training split of the task."""
        return ((self.task, "train"),)

    @property
    def probe_sets(self) -> tuple[str, ...]:
        """The probe set of the task."""
        return (self.task,)


@dataclass(frozen=True)
class TargetSet:
    """D_T: the few training samples of the target of the mixing study."""

    target: str
    group = MIXING
    task = "target"
    probe_sets = (TRAINING,)
    """D_T is probed on its own samples: the others are the test."""

    @property
    def datasets(self) -> Datasets:
        """The training split of the target."""
        return ((self.target, "train"),)


@dataclass(frozen=True)
class MixtureSet:
    """A mixture of `instructions` samples of basic tasks.

    Attributes:
        variant: `ours`, in the proportions of Eq. 4; `random`, in random ones; `grid`, at a point of a grid; `uniform`,
            all candidates alike; `size-proportional`, all by their rows; or `oracle`, the true parts alike.
        draw: number of the random draw, or of the point of the grid; None for the others.
        candidates: tasks that the samples may come from.
        instructions: number of samples.
    """

    variant: str
    draw: int | None
    candidates: tuple[str, ...]
    instructions: int
    group = MIXING
    probe_sets: tuple[str, ...] = ()

    @property
    def mixture(self) -> str:
        """The name of the mixture: `ours`, `random0` or `oracle`."""
        return f"{self.variant}{'' if self.draw is None else self.draw}"

    @property
    def task(self) -> str:
        """The mixture itself, on which the model is trained before it is on the target."""
        return f"{self.mixture}-basic"

    @property
    def datasets(self) -> Datasets:
        """The training splits of all candidates: which of them the mixture keeps is known later."""
        return tuple((task, "train") for task in self.candidates)


@dataclass(frozen=True)
class AfterMixture:
    """D_T again, for a model that was trained on a mixture before."""

    before: MixtureSet
    target: TargetSet
    group = MIXING
    probe_sets: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The name of the mixture."""
        return self.before.mixture

    @property
    def datasets(self) -> Datasets:
        """Those of the target."""
        return self.target.datasets


@dataclass(frozen=True)
class PseudoPrivateSet:
    """The pseudo-private samples of a domain, which make its probe model."""

    domain: str
    dataset: str
    group = SELECTION

    @property
    def task(self) -> str:
        """The domain's name and that of the set."""
        return f"{self.domain}-pseudo-private"

    @property
    def datasets(self) -> Datasets:
        """The training split that the domain is a part of."""
        return ((self.dataset, "train"),)

    @property
    def probe_sets(self) -> tuple[str, ...]:
        """Its own samples, and the pool."""
        return (TRAINING, self.dataset)


@dataclass(frozen=True)
class SelectedSet:
    """The `budget` best samples of a domain's pool by a method, or as many drawn at random: of all, or (`oracle`) of
    the related ones."""

    domain: str
    dataset: str
    method: str
    draw: int | None
    budget: int
    group = SELECTION
    probe_sets: tuple[str, ...] = ()

    @property
    def choice(self) -> str:
        """Method, draw and budget: `pattern-100` or `random0-100`."""
        return f"{self.method}{'' if self.draw is None else self.draw}-{self.budget}"

    @property
    def task(self) -> str:
        """The domain's name and the choice."""
        return f"{self.domain}-{self.choice}"

    @property
    def datasets(self) -> Datasets:
        """The probe split that the pool is a part of."""
        return ((self.dataset, "probe"),)


@dataclass(frozen=True)
class HeadsSet:
    """The training samples of a task's run again, on which the weights of some heads alone are trained.

    Attributes:
        of: what the whole model is trained on.
        ranking: by what the heads are chosen, or `all`.
        draw: number of the random order; None for the others.
        k: number of heads; None for all of them.
    """

    of: TaskSet
    ranking: str
    draw: int | None = None
    k: int | None = None
    group = HEADS
    probe_sets: tuple[str, ...] = ()

    @property
    def choice(self) -> str:
        """Ranking, draw and number: `change-4`, `random0-4` or `all`."""
        return f"{self.ranking}{'' if self.draw is None else self.draw}{'' if self.k is None else f'-{self.k}'}"

    @property
    def task(self) -> str:
        """The task and the choice of heads."""
        return f"{self.of.task}-{self.choice}"

    @property
    def datasets(self) -> Datasets:
        """Those of the task."""
        return self.of.datasets


@dataclass(frozen=True)
class Elsewhere:
    """What somebody else trained a model on, which nobody here knows; the run has the name of `finetuned.NAME`.

    Attributes:
        name: key below `finetuned` in the config.
        probe_sets: datasets that a study takes the patterns of the run on.
    """

    name: str
    probe_sets: tuple[str, ...]
    group = FINETUNED

    @property
    def task(self) -> str:
        """The name: a model that is finished has no task."""
        return self.name

    @property
    def datasets(self) -> Datasets:
        """None: no sample of this experiment is trained on."""
        return ()


TrainingSet = TaskSet | TargetSet | MixtureSet | AfterMixture | PseudoPrivateSet | SelectedSet | HeadsSet | Elsewhere


@dataclass(frozen=True)
class Run:
    """A fine-tuning of a model on a training set with a seed."""

    model: str
    training_set: TrainingSet
    seed: int

    @property
    def group(self) -> str:
        """What decides its recipe."""
        return self.training_set.group

    @property
    def task(self) -> str:
        """What stands in the place of a task."""
        return self.training_set.task

    @property
    def name(self) -> str:
        """Its name below its model, such as `nlp.gsm8k.seed0`; one that was trained elsewhere is `finetuned.NAME`."""
        return f"{self.group}.{self.task}.seed{self.seed}" if self.is_trained else f"{self.group}.{self.task}"

    @property
    def is_trained(self) -> bool:
        """Whether it is trained here; else its checkpoint is given."""
        return not isinstance(self.training_set, Elsewhere)

    @property
    def earlier(self) -> "Run | None":
        """The run that it starts from, where that is not the base model: the target is trained after its mixture."""
        if isinstance(self.training_set, AfterMixture):
            return Run(self.model, self.training_set.before, self.seed)
        return None

    @property
    def cut(self) -> "Run | None":
        """The run that names its training set, where that is cut from one dataset; None where others select it.

        After a mixture it is the target's own: whichever mixture, the run on the target has the same training set. So
        have the runs that train heads alone that of their task.
        """
        match self.training_set:
            case AfterMixture(target=target):
                return Run(self.model, target, self.seed)
            case HeadsSet(of=task_set):
                return Run(self.model, task_set, self.seed)
            case TaskSet() | TargetSet() | PseudoPrivateSet():
                return self
            case MixtureSet() | SelectedSet() | Elsewhere():
                return None

    @property
    def is_first_stage(self) -> bool:
        """Whether a training set of section 5 depends on the patterns of this run."""
        return bool(self.training_set.probe_sets)


def of_task(model: str, group: str, task: str, seed: int) -> Run:
    """The run of a task in a task group."""
    return Run(model, TaskSet(group, task), seed)


def written(name: str) -> tuple[str, str, int]:
    """Group, task and seed of a run as a config writes it, GROUP.TASK.seedN: the one place that reads it."""
    group, task, seed = name.split(".")
    return group, task, int(seed.removeprefix("seed"))


def finetuned(name: str) -> str | None:
    """The key below `finetuned` that a run as a config writes it names, `finetuned.NAME`; None of one trained here."""
    group, _, rest = name.partition(".")
    return rest if group == FINETUNED else None
