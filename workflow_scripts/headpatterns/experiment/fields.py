"""The kinds of values that a config is made of; every section of it is a `Section`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A mapping of the config: unknown keys are refused, values are taken as they are written, and none changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def unique(values: list[Any]) -> list[Any]:
    """The values, if none occurs twice."""
    if repeated := next((value for place, value in enumerate(values) if value in values[:place]), None):
        raise PydanticCustomError("repeated", "names {value} twice: name it once.", {"value": repeated})
    return values


UNSTATED: Any = None
"""The default of a key that may be left out, but not be null."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""The name of a thing that the config defines: it becomes part of paths."""

Text = Annotated[str, StringConstraints(min_length=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Names = Annotated[list[str], AfterValidator(unique)]
Selection = Annotated[list[str], Field(min_length=1), AfterValidator(unique)]
Stages = Annotated[list[str], Field(min_length=2), AfterValidator(unique)]
Steps = Annotated[list[Positive], AfterValidator(unique)]
Counts = Annotated[list[Positive], Field(min_length=1), AfterValidator(unique)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""Seed of random draws. The sum of two seeds is below 2³², the limit of numpy."""

Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(unique)]
OWN_SEEDS = "seeds of its runs, a part of `seeds`; null takes all"
Moves = Annotated[list[Literal["order", "samples", "pretraining"]], AfterValidator(unique)]
"""What a training seed changes: order and dropout of training, the choice of samples, the embedded base models."""

Scheduler = Literal["cosine", "linear", "constant", "constant_with_warmup"]
Reduction = Literal["abs_of_sum", "sum_of_abs", "abs_per_position"]
Normalisation = Literal["none", "loss", "sum"]
"""Patterns as they are, divided by the sample's loss, or divided by their sum over all heads, for each sample."""

Weighting = Literal["samples", "batches_of_four"]
"""The mean over samples, or the mean of the paper's released script. There, batches of four have equal weights, and the
weight of a sample in its batch is its number of response tokens."""

Change = Literal["difference", "rate", "log_ratio"]
"""after − before, (after − before) / before, or log(after / before), for each head."""

ModelValue = Literal["mean_of_statistics", "statistic_of_mean"]
"""The value of a model: the mean over tasks of the statistic of patterns, or the statistic of the mean pattern."""

Reductions = Annotated[list[Reduction], AfterValidator(unique)]
Scoring = Literal["generate", "likelihood"]
Dtype = Literal["float32", "bfloat16", "float16"]
PaperModel = Literal["Llama3-8B", "Gemma-7B", "OPT-6.7B", "Llama-7B", "Llama2-7B"]
"""A model of the paper."""
RUN_PATTERN = r"[^.]+\.[^.]+\.seed[0-9]+|finetuned\.[^.]+"
RunName = Annotated[str, StringConstraints(pattern=f"^({RUN_PATTERN})$")]
"""The printed name of a run: GROUP.TASK.seedN, or finetuned.NAME for one that was trained elsewhere."""
