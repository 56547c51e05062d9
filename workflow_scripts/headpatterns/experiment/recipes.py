"""The recipes of a config: how models are fine-tuned and pretrained."""

from typing import Annotated, Any, Literal

from pydantic import Field

from headpatterns.experiment.fields import UNSTATED, Amount, Positive, Scheduler, Section, Seed, Selection, Steps

NOT_OF_A_RUN = ("nodes", "runs_per_job", "keep_intermediate_checkpoints", "keep_final_checkpoints")
"""Keys of `finetuning` that decide how jobs are made and what stays on the disk; a run itself does not see them."""

Warmup = Annotated[float, Field(ge=0, lt=1)]


Dropout = Annotated[float, Field(ge=0, lt=1)]
Method = Literal["full", "lora"]
Targets = Literal["all-linear"] | Selection


class Lora(Section):
    """Adapters of method lora: alpha / rank · B A is added to the weights of the target modules."""

    rank: Positive = Field(16, description="rank of the product B A: columns of B, rows of A")
    alpha: Amount = Field(32.0, description="the product B A is multiplied by alpha / rank")
    dropout: Dropout = Field(0.0, description="dropout on the input of each adapter, in training")
    target_modules: Targets = Field(
        "all-linear",
        description="modules that get an adapter, by the ends of their names; all-linear takes every linear module "
        "but the output embeddings",
    )


class Finetuning(Section):
    """One recipe for every run; the studies of section 5 may state what they do differently."""

    method: Method = Field("full", description="full trains all weights; lora trains adapters on frozen weights")
    lora: Lora = Field(Lora.model_validate({}), description="the adapters; used if method is lora")
    learning_rate: Amount = Field(description="largest learning rate of the schedule")
    lr_scheduler: Scheduler = Field(description="how the learning rate changes after the warm-up")
    warmup_ratio: Warmup = Field(description="share of the steps that the learning rate takes to rise from 0")
    weight_decay: float = Field(ge=0, description="of AdamW")
    max_grad_norm: Amount = Field(description="norm to which gradients are clipped")
    epochs: Amount = Field(description="passes over the training set; used if max_steps is null")
    max_steps: Positive | None = Field(description="optimizer steps; null leaves them to `epochs`")
    per_device_batch_size: Positive = Field(description="samples per micro-batch on one device")
    gradient_accumulation_steps: Positive = Field(description="micro-batches per step on each device")
    global_batch_size: Positive = Field(
        description="samples per step; must be the product of the two keys above and `devices`"
    )
    precision: Literal["fp32", "bf16"] = Field(description="number format of the computation; bf16 is mixed precision")
    gradient_checkpointing: bool = Field(
        description="compute activations again in the backward pass, which saves memory"
    )
    engine: Literal["pytorch", "deepspeed"] = Field(
        description="what trains: pytorch, or deepspeed, which is ZeRO-2 over the devices"
    )
    devices: Positive = Field(description="processes per run; if device is cuda, each has its own GPU")
    nodes: Positive = Field(description="machines that share the devices in equal parts")
    optimizer: Literal["adamw", "adamw_fused", "adamw_offloaded"] = Field(
        description="adamw_offloaded keeps its states in the host's memory and needs engine deepspeed"
    )
    padding_free: bool = Field(
        description="put the samples of a micro-batch one after another into one row, so that no token is padding"
    )
    checkpoint_dtype: Literal["float32", "bfloat16"] = Field(description="number format of stored weights")
    checkpoint_steps: Steps = Field(
        description="steps after which the weights are saved; the last step is always saved"
    )
    resume_every: Positive = Field(description="steps between two saved states, from which an interrupted run resumes")
    runs_per_job: Positive = Field(description="runs that one job trains one after another")
    keep_intermediate_checkpoints: bool = Field(
        description="keep the weights of `checkpoint_steps` after their patterns exist"
    )
    keep_final_checkpoints: bool = Field(description="keep the fine-tuned models after their patterns and scores exist")

    @property
    def is_lora(self) -> bool:
        """Whether adapters are trained, and not all weights."""
        return self.method == "lora"

    def of_run(self, with_checkpoints: bool) -> dict[str, Any]:
        """The keys that a run itself sees; without checkpoints on the way it keeps the last alone.

        A run that trains all weights sees none of LoRA, so that its recipe is what it was before there was any.
        """
        recipe = self.model_dump(exclude={*NOT_OF_A_RUN, "method", *([] if self.is_lora else ["lora"])})
        return recipe if with_checkpoints else {**recipe, "checkpoint_steps": []}


class OwnRecipe(Section):
    """What a study or task group does otherwise than `finetuning` says; a key that is not given is taken from there."""

    method: Method = Field(UNSTATED, description="as in `finetuning`")
    lora: Lora = Field(UNSTATED, description="as in `finetuning`; a key that is not given is taken from there")
    learning_rate: Amount = Field(UNSTATED, description="as in `finetuning`")
    warmup_ratio: Warmup = Field(UNSTATED, description="as in `finetuning`")
    epochs: Amount = Field(UNSTATED, description="as in `finetuning`")
    max_steps: Positive | None = Field(None, description="as in `finetuning`; null leaves the steps to `epochs`")
    per_device_batch_size: Positive = Field(UNSTATED, description="as in `finetuning`")
    gradient_accumulation_steps: Positive = Field(UNSTATED, description="as in `finetuning`")
    global_batch_size: Positive = Field(UNSTATED, description="as in `finetuning`")
    devices: Positive = Field(UNSTATED, description="as in `finetuning`")
    nodes: Positive = Field(UNSTATED, description="as in `finetuning`")

    def on(self, common: Finetuning) -> Finetuning:
        """The common recipe with what is stated here in its place; a stated null counts as stated."""
        stated = {key: getattr(self, key) for key in self.model_fields_set}
        if self.lora:
            own = {key: getattr(self.lora, key) for key in self.lora.model_fields_set}
            stated["lora"] = common.lora.model_copy(update=own)
        return common.model_copy(update=stated)


class PretrainingRecipe(Section):
    """How the embedded base models are pretrained: on one device, without accumulation."""

    block_size: int = Field(ge=2, description="tokens at which a document is cut into several blocks")
    batch_size: Positive = Field(description="blocks per step: documents, or parts of long ones")
    padding_free: bool = Field(True, description="as in `finetuning`; true if it is missing")
    learning_rate: Amount = Field(description="largest learning rate of the schedule")
    lr_scheduler: Scheduler = Field(description="how the learning rate changes after the warm-up")
    warmup_ratio: Warmup = Field(description="share of the steps that the learning rate takes to rise from 0")
    weight_decay: float = Field(ge=0, description="of AdamW")
    max_grad_norm: Amount = Field(description="norm to which gradients are clipped")
    resume_every: Positive = Field(description="steps between two saved states, from which an interrupted run resumes")
    seed: Seed = Field(
        description="seed of the first weights and of the order of blocks; `seed_moves` may add the training seed"
    )

    def of_run(self, steps: int, checkpoint_steps: list[int], moved: int = 0) -> dict[str, Any]:
        """The recipe of one pretraining run: what a step reads is the batch, and its seed lies `moved` further."""
        recipe = self.model_dump(exclude={"block_size", "batch_size"})
        return {
            **recipe,
            "seed": self.seed + moved,
            "per_device_batch_size": self.batch_size,
            "global_batch_size": self.batch_size,
            "max_steps": steps,
            "checkpoint_steps": checkpoint_steps,
        }
