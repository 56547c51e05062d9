"""The byte-level BPE tokenizer of the embedded models, trained on the pretraining corpus."""

from pathlib import Path

from headpatterns.data.corpus import read as read_corpus
from headpatterns.io import atomic_path

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def train_tokenizer(corpus: Path, vocabulary: int, output: Path) -> None:
    """Train a tokenizer and save it in Hugging Face layout: with BOS before every text, and all bytes representable.

    Like a word, a number is one token with the blank before it. So a tiny model can learn sums of whole numbers as a
    table, and learn to copy the number after a word.

    Args:
        corpus: JSON lines with the field `text`.
        vocabulary: tokens of the vocabulary.
        output: folder of the tokenizer.

    Raises:
        InputError: the corpus cannot be read.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    texts = read_corpus(corpus)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # Every Chinese character is one token, because a small vocabulary has no room for Chinese words.
            pre_tokenizers.Split(Regex(r"\p{Han}"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
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
    with atomic_path(output) as temporary:
        saved.save_pretrained(temporary)
