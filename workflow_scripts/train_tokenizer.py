"""Train the byte-level BPE tokenizer of the embedded models on the pretraining corpus."""

import argparse
import json
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.io import atomic_path

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def main(arguments: argparse.Namespace) -> None:
    """Train and save in Hugging Face layout: BOS before every text, digits one by one, any byte representable."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    with arguments.corpus.open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            # Every Chinese character stands alone: a small vocabulary has no room for words of them.
            pre_tokenizers.Split(Regex(r"\p{Han}"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=arguments.vocabulary,
            special_tokens=[PAD, BOS, EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    saved = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_input_names=["input_ids", "attention_mask"],
    )
    with atomic_path(arguments.output) as temporary:
        saved.save_pretrained(temporary)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True, help="jsonl with the field text")
    made.add_argument("--vocabulary", type=int, required=True, help="tokens of the vocabulary")
    made.add_argument("--output", type=Path, required=True, help="folder of the tokenizer")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
