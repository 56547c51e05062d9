"""A run: a base model, a training set and a seed. Its name is printed from these and never read back.

The training set is a typed value. Its `group` determines the recipe: a task group, or the study of section 5 that the
run belongs to. Its `task` is used as a task's name, as in `nlp.gsm8k.seed0` or `mixing.ours.seed0`. Its `datasets` are
the datasets and splits that its samples may come from. Patterns are computed on its `probe_sets`.
"""

from dataclasses import dataclass

MIXING, SELECTION, FINETUNED = "mixing", "selection", "finetuned"
HEADS = "trained_heads"
"""The group of runs that train only the weights of some heads."""
TRAINING = "training"
"""Used instead of a probe set's name: the training samples of the run itself."""
BASE = "base"
"""Used instead of a run's name: the model before any run; if each seed has its own model, `.seedN` follows."""

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
    """D_T is probed on its own samples, because the other samples are the test set."""

    @property
    def datasets(self) -> Datasets:
        """The training split of the target."""
        return ((self.target, "train"),)


@dataclass(frozen=True)
class MixtureSet:
    """A mixture of `instructions` samples of basic tasks.

    Attributes:
        variant: `ours`, with the proportions of Eq. 4; `random`, with random ones; `grid`, at a point of a grid;
            `uniform`, equal for all candidates; `size-proportional`, by their numbers of rows; or `oracle`, equal for
            the true parts.
        draw: number of the random draw, or of the point of the grid; None for other variants.
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
        """The mixture itself, on which the model is trained before the target."""
        return f"{self.mixture}-basic"

    @property
    def datasets(self) -> Datasets:
        """The training splits of all candidates, because the ones that the mixture keeps are known only later."""
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
    """The pseudo-private samples of a domain, which train its probe model."""

    domain: str
    dataset: str
    group = SELECTION

    @property
    def task(self) -> str:
        """The domain's name and that of the set."""
        return f"{self.domain}-pseudo-private"

    @property
    def datasets(self) -> Datasets:
        """The training split that contains the domain."""
        return ((self.dataset, "train"),)

    @property
    def probe_sets(self) -> tuple[str, ...]:
        """Its own samples, and the pool."""
        return (TRAINING, self.dataset)


@dataclass(frozen=True)
class SelectedSet:
    """The `budget` best samples of a domain's pool by a method, or the same number drawn at random: from all samples,
    or (`oracle`) from the related ones."""

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
        """The probe split that contains the pool."""
        return ((self.dataset, "probe"),)


@dataclass(frozen=True)
class HeadsSet:
    """The training samples of a task's run, used again to train only the weights of some heads.

    Attributes:
        of: the training set of the run that trains the whole model.
        ranking: the ranking that chooses the heads, or `all`.
        draw: number of the random order; None for other rankings.
        k: number of heads; None for all heads.
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
    """The unknown training set of a model that was trained elsewhere; the run has the name `finetuned.NAME`.

    Attributes:
        name: key below `finetuned` in the config.
        probe_sets: datasets on which a study computes the patterns of the run.
    """

    name: str
    probe_sets: tuple[str, ...]
    group = FINETUNED

    @property
    def task(self) -> str:
        """The name, because a finished model has no task."""
        return self.name

    @property
    def datasets(self) -> Datasets:
        """Empty, because the run used no sample of this experiment."""
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
        """The group, which determines its recipe."""
        return self.training_set.group

    @property
    def task(self) -> str:
        """The task, or the name that is used instead."""
        return self.training_set.task

    @property
    def name(self) -> str:
        """Its name within its model, such as `nlp.gsm8k.seed0`; `finetuned.NAME` if it was trained elsewhere."""
        return f"{self.group}.{self.task}.seed{self.seed}" if self.is_trained else f"{self.group}.{self.task}"

    @property
    def is_trained(self) -> bool:
        """Whether it is trained here; otherwise its checkpoint is given."""
        return not isinstance(self.training_set, Elsewhere)

    @property
    def earlier(self) -> "Run | None":
        """The run that it starts from, None for the base model: the target is trained after its mixture."""
        if isinstance(self.training_set, AfterMixture):
            return Run(self.model, self.training_set.before, self.seed)
        return None

    @property
    def cut(self) -> "Run | None":
        """The run that names its training set, if the set is cut from one dataset; None if samples are selected.

        After a mixture it is the target's own run, because the run on the target has the same training set for every
        mixture. For runs that train only heads it is the run of their task, for the same reason.
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
    """Group, task and seed of a run from its name in a config, GROUP.TASK.seedN; nothing else reads such names."""
    group, task, seed = name.split(".")
    return group, task, int(seed.removeprefix("seed"))


def finetuned(name: str) -> str | None:
    """The key below `finetuned` of a run whose name in a config is `finetuned.NAME`; None for a run trained here."""
    group, _, rest = name.partition(".")
    return rest if group == FINETUNED else None
