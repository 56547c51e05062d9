"""Where and how large jobs are: what they ask for, what the plan assumes, and the cluster that they go to."""

from typing import Literal

from pydantic import Field

from headpatterns.experiment.fields import UNSTATED, Amount, Natural, Positive, Section, Share


class Size(Section):
    """What one job asks for; a key that is not given is that of `resources.default`."""

    threads: Positive = Field(UNSTATED, description="processor threads, also those of torch")
    mem_mb: Positive = Field(UNSTATED, description="memory in MB")
    runtime: Positive = Field(UNSTATED, description="minutes")
    gpu: Natural = Field(UNSTATED, description="GPUs; those of fine-tuning are finetuning.devices")


class Utilisation(Section):
    """Shares of a GPU's peak, or of its memory's bandwidth in decoding."""

    training: Share = Field(description="of fine-tuning and pretraining")
    patterns: Share = Field(description="of extraction and ablation")
    prefill: Share = Field(description="of reading prompts")
    decoding: Share = Field(description="of the memory's bandwidth, in writing answers")


class StartSeconds(Section):
    """Seconds from a job's start to its work."""

    model: float = Field(ge=0, description="where it loads a model")
    other: float = Field(ge=0, description="elsewhere")


class Plan(Section):
    """What the plan assumes, and what of the disk an experiment may take."""

    gpu: str = Field(description="type of GPU, where device is cuda")
    utilisation: Utilisation = Field(description="shares of the GPU's peak")
    cpu_gflops: Amount = Field(description="10⁹ operations a second of a thread, where device is cpu")
    start_seconds: StartSeconds = Field(description="seconds from a job's start to its work")
    disk_gb_per_second: Amount = Field(description="GB a second of model files, read and written")
    download_mb_per_second: Amount = Field(description="MB a second from the hub")
    prepare_mb_per_second: Amount = Field(description="MB a second of raw rows made into instructions, a thread")
    tokenize_tokens_per_second: Amount = Field(description="tokens a second, a thread")
    parallel_jobs: Positive = Field(description="jobs at once that fill the disk")
    check_disk: bool = Field(description="refuse to start where the planned peak does not fit on the disk")
    disk_gb: Amount | None = Field(description="your quota in GB; null where there is none")


class Cluster(Section):
    """What jobs of a Slurm cluster are submitted with; empty text asks for nothing, null is no cluster."""

    account: str | None = Field(description="Slurm account; empty where the site keeps no accounts")
    cpu_partition: str | None = Field(description="partitions of jobs without a GPU, between commas")
    gpu_partition: str | None = Field(description="partitions of jobs with GPUs, between commas")
    gpus_as: Literal["gpu", "gres"] = Field(description="how this site wants GPUs asked for")
    gpu_type: str | None = Field(description="the site's name of a type of GPU, where it has several")

    @property
    def configured(self) -> bool:
        """Whether the config says where jobs are submitted: empty text, as the profile has it, is an answer as well."""
        return any(value is not None for value in (self.account, self.cpu_partition, self.gpu_partition))
