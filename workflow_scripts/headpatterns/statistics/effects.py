"""An effect and its error term, source by source: what of it would differ with other seeds, tasks or samples.

An effect is one number that a claim is about, such as the mean change of a Gini coefficient. Each source of variation
adds a component to its variance, with the degrees of freedom that this component was estimated on. The interval is that
of Student's t with the degrees of freedom of Welch and Satterthwaite, so that three seeds give the wide interval that
three seeds deserve. What has no component was held: the interval says nothing about it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float

SEEDS, TASKS, SAMPLES, ITEMS, DRAWS = "seeds", "tasks", "samples", "items", "draws"
"""Names of the sources."""


@dataclass(frozen=True)
class Component:
    """A share of the variance of an estimate.

    Attributes:
        source: what varies, such as `seeds`.
        variance: of the estimate, in its units squared.
        df: degrees of freedom that the variance was estimated on; infinite for a bootstrap.
    """

    source: str
    variance: float
    df: float


@dataclass(frozen=True)
class Effect:
    """An estimate with its error term.

    Attributes:
        estimate: the number, without the bias that resampling shows where there is one.
        plain: the number as its equation gives it.
        components: by source; empty where nothing varied.
        p_above: one-sided p of an exact test that the effect is above 0; NaN where there is none.
        p_below: the same for below 0.
    """

    estimate: float
    plain: float
    components: tuple[Component, ...] = ()
    p_above: float = math.nan
    p_below: float = math.nan

    @property
    def varies(self) -> tuple[str, ...]:
        """The sources of variation that the error term covers."""
        return tuple(component.source for component in self.components)

    @property
    def standard_error(self) -> float:
        """Square root of the sum of the components' variances; NaN without any."""
        return math.sqrt(sum(part.variance for part in self.components)) if self.components else math.nan

    @property
    def df(self) -> float:
        """Degrees of freedom of Welch and Satterthwaite, `(sum v)^2 / sum(v^2 / df)`; NaN without any component."""
        if not self.components:
            return math.nan
        total = sum(part.variance for part in self.components)
        scatter = sum(part.variance**2 / part.df for part in self.components)
        return total**2 / scatter if scatter > 0 else math.inf

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Lower and upper end of the interval of Student's t."""
        reach = float(scipy.special.stdtrit(min(self.df, 1e9), 0.5 + confidence / 2)) * self.standard_error
        return self.estimate - reach, self.estimate + reach


def effect(
    replicates: Float[np.ndarray, " replicates"],
    by_seed: Float[np.ndarray, " seeds"] | Sequence[float] = (),
    without_task: Float[np.ndarray, " tasks"] | Sequence[float] = (),
    source: str = SAMPLES,
) -> Effect:
    """The effect of a statistic that was resampled over samples, repeated over seeds and perhaps jackknifed over tasks.

    Args:
        replicates: [1 + B], the mean over seeds, estimate first; the draws of samples are shared by all seeds.
        by_seed: [seeds], the statistic of each seed. With fewer than two, seeds were held.
        without_task: [tasks], the statistic with each task left out in turn. Empty where tasks are held. Where they
            vary, they carry the variation of their samples with them.
        source: what the replicates draw, `samples` or `items`.
    """
    plain = float(replicates[0])
    drawn = np.asarray(replicates[1:], dtype=np.float64)
    bias = float(drawn.mean() - plain) if drawn.size else 0.0
    components = []
    if len(by_seed) > 1:
        components.append(Component(SEEDS, float(np.var(by_seed, ddof=1)) / len(by_seed), len(by_seed) - 1))
    if len(without_task) > 1:
        count = len(without_task)
        components.append(Component(TASKS, float(np.var(without_task)) * (count - 1), count - 1))
    elif drawn.size > 1:
        components.append(Component(source, float(drawn.var(ddof=1)), math.inf))
    return Effect(plain - bias, plain, tuple(components))
